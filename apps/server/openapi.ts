import type { Handler } from "./exchange.ts";
import { type JsonSchema, type SchemaName, schemas } from "./schemas.ts";

/** BodyContent of a body: a JSON document or a list of them, or another content type. */
export type BodyContent = SchemaName | readonly [SchemaName] | { readonly type: string };

/** A parameter in the query. */
export interface QueryParameter {
  readonly about: string;
  readonly schema: JsonSchema;
}

/** An endpoint: its description, and the function that answers it. */
export interface Route {
  readonly method: "GET" | "POST";
  /** Parts that start with a colon are parameters. */
  readonly path: string;
  readonly summary: string;
  readonly query?: Readonly<Record<string, QueryParameter>>;
  /** Accepted bodies; none if it is missing. */
  readonly body?: readonly BodyContent[];
  /** The body of status 200. */
  readonly answer: readonly BodyContent[];
  /** Other statuses with the same body as 200. */
  readonly alsoWith?: readonly number[];
  /** Needs no key even if the server has some. */
  readonly isOpen?: boolean;
  /** A part of a page: it gets a browser's security headers, and is not described. */
  readonly isPage?: boolean;
  readonly handle: Handler;
}

/** Statuses of errors that any endpoint may answer with. */
const errorStatuses = [400, 401, 403, 404, 408, 413, 415, 429, 431, 500, 502, 503, 504];

/**
 * Describes endpoints as an OpenAPI document.
 * @see https://spec.openapis.org/oas/v3.1.1.html
 */
export function openApi(routes: readonly Route[], version: string): JsonSchema {
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const route of routes.filter(({ isPage }) => !isPage)) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}");
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.1",
    info: { title: "xception-ts", version, summary: "Image classification; the Open Inference Protocol, version 2" },
    paths,
    components: {
      schemas,
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    },
  };
}

function operation({ path, summary, query = {}, body, answer, alsoWith = [], isOpen }: Route): JsonSchema {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const inQuery = Object.entries(query).map(([name, { about, schema }]) => {
    return { name, in: "query", description: about, schema };
  });
  const good = { content: contentOf(answer) };
  const errors = errorStatuses.map((status) => [
    status,
    { description: "Error", content: contentOf(["ErrorResponse"]) },
  ]);
  return {
    summary,
    parameters: [...inPath, ...inQuery],
    ...(body && { requestBody: { content: contentOf(body) } }),
    responses: {
      ...Object.fromEntries(errors),
      ...Object.fromEntries([200, ...alsoWith].map((status) => [status, { description: summary, ...good }])),
    },
    // Keys are optional: a server without any ignores them.
    security: isOpen ? [] : [{}, { bearer: [] }],
  };
}

function contentOf(contents: readonly BodyContent[]): JsonSchema {
  return Object.fromEntries(
    contents.map((content) => {
      if (typeof content === "string") return ["application/json", { schema: schemaOf(content) }];
      if ("type" in content) return [content.type, {}];
      return ["application/json", { schema: { type: "array", items: schemaOf(content[0]) } }];
    }),
  );
}

function schemaOf(name: SchemaName): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}
