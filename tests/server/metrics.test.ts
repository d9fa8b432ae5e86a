import { expect, it } from "vitest";
import { Metrics } from "../../apps/server/metrics.ts";

it("writes a histogram in Prometheus's text format, with labels escaped or without any", () => {
  const metrics = new Metrics();
  metrics.declare("wait_seconds", "histogram", "Wait");
  metrics.observe("wait_seconds", { route: 'a"b\\c\nd' }, 0.05);
  metrics.observe("wait_seconds", { route: 'a"b\\c\nd' }, 20);
  metrics.observe("wait_seconds", {}, 7);
  const limits = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10".split(" ");
  const route = String.raw`route="a\"b\\c\nd"`;
  expect(metrics.text().split("\n")).toEqual([
    "# HELP wait_seconds Wait",
    "# TYPE wait_seconds histogram",
    ...limits.map((limit) => `wait_seconds_bucket{${route},le="${limit}"} ${Number(limit) >= 0.05 ? 1 : 0}`),
    `wait_seconds_bucket{${route},le="+Inf"} 2`,
    `wait_seconds_sum{${route}} 20.05`,
    `wait_seconds_count{${route}} 2`,
    ...limits.map((limit) => `wait_seconds_bucket{le="${limit}"} ${Number(limit) >= 7 ? 1 : 0}`),
    'wait_seconds_bucket{le="+Inf"} 1',
    "wait_seconds_sum 7",
    "wait_seconds_count 1",
    "",
  ]);
});
