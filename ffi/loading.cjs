/**
 * The way from the small files of the built package to the rest. In the package that is ringloop.js, with its bytecode. A bundler takes
 * modules.js, which is the same, because it can read neither bytecode nor a path that is put together at run time.
 *
 * A bundle has no more than `exports` for a module.
 */
const isUnbundled = "filename" in module;
const directory = "./";
let parts;

exports.isUnbundled = isUnbundled;
exports.parts = () => (parts ??= isUnbundled ? require(directory + "ringloop.js") : require("./modules.js"));
