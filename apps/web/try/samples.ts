import france from "emoji-datasource-twitter/img/twitter/64/1f1eb-1f1f7.png";
import sunglasses from "emoji-datasource-twitter/img/twitter/64/1f60e.png";
import strawberry from "emoji-datasource-twitter/img/twitter/64/1f353.png";
import hamburger from "emoji-datasource-twitter/img/twitter/64/1f354.png";
import cat from "emoji-datasource-twitter/img/twitter/64/1f408.png";
import turtle from "emoji-datasource-twitter/img/twitter/64/1f422.png";
import scientist from "emoji-datasource-twitter/img/twitter/64/1f469-200d-1f52c.png";
import grin from "emoji-datasource-twitter/img/twitter/64/1f600.png";
import rex from "emoji-datasource-twitter/img/twitter/64/1f996.png";
import { texts } from "../texts.ts";

const names = texts.try.samples;

/** Emoji by an artist the built-in model was not trained on. */
export const sampleImages: readonly (readonly [name: string, address: string])[] = [
  [names.cat, cat],
  [names.hamburger, hamburger],
  [names.grin, grin],
  [names.scientist, scientist],
  [names.rex, rex],
  [names.france, france],
  [names.sunglasses, sunglasses],
  [names.turtle, turtle],
  [names.strawberry, strawberry],
];
