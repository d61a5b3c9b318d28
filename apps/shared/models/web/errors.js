/** Something is wrong with an input. The message is one line. */
export class InputError extends Error {}
