/**
 * Loads the rest of the built package for its small files. In the package, the rest is ringloop.js,
 * with its bytecode. A bundler includes modules.js, which has the same modules, because it can read
 * neither bytecode nor a path that is made at run time.
 *
 * In a bundle, a module has only `exports`.
 */
const isUnbundled = "filename" in module;
const directory = "./";
let parts;

exports.isUnbundled = isUnbundled;
exports.parts = () => (parts ??= isUnbundled ? require(directory + "ringloop.js") : require("./modules.js"));
