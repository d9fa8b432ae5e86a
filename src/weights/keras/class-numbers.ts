/**
 * How Keras numbers layers by class where names do not matter: `conv2d`, `conv2d_1`, …, in the order of the layers.
 * @param types their classes.
 * @see keras/src/utils/naming.py, `to_snake_case`; keras/src/saving/saving_lib.py, `_save_container_state`
 */
export function kerasClassNumbers(types: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  return types.map((type) => {
    const snake = type.replaceAll(/(.)([A-Z][a-z]+)/g, "$1_$2").replaceAll(/([a-z])([A-Z])/g, "$1_$2");
    const count = counts.get(type) ?? 0;
    counts.set(type, count + 1);
    return count === 0 ? snake.toLowerCase() : `${snake.toLowerCase()}_${count}`;
  });
}
