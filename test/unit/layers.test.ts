/**
 * The repository's own rules: which files may import which, where files lie, and how long files and
 * classes are (CONTRIBUTING.md).
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";

const root = join(import.meta.dir, "../..");

/** The layers. A layer imports only from itself and from the layers before it. */
const layers = [
  "sys",
  "ring",
  "reactor",
  "metrics",
  "operations",
  "transport",
  "http",
  "websocket",
  "fs",
  "bun",
  "node",
];

/** What programs outside of src/ may import: the exports of package.json. */
const publicFiles = ["index", "fs/index", "ring/index", "node/index", "metrics/index", "register"].map(
  (name) => `src/${name}.ts`,
);

/** Longer ones have more than one reason to change. */
const FILE_LINES_MAX = 400;
const CLASS_LINES_MAX = 350;

const files = [...new Bun.Glob("**/*").scanSync({ cwd: root })]
  .filter((file) => !/(^|\/)(node_modules|build|dist)\//.test(file))
  .toSorted();
const sources = files.filter((file) => /\.(ts|tsx|js|mjs|cjs)$/.test(file));

interface Import {
  from: string;
  specifier: string;
  /** The imported file, for a relative specifier. */
  file: string | undefined;
}

/** Static imports, re-exports and dynamic imports, also of types, which a transpiler would drop. */
const importPatterns = [
  /^import\s+(?:[\w$*{},\s]+\sfrom\s+)?["']([^"'\n]+)["']/gm,
  /^export\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s+from\s+["']([^"'\n]+)["']/gm,
  /\bimport\(\s*["']([^"'\n]+)["']/g,
];

const imports: Import[] = sources.flatMap((from) => {
  const text = readFileSync(join(root, from), "utf8");
  const specifiers = importPatterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1]!));
  return specifiers.map((specifier) => ({
    from,
    specifier,
    file: specifier.startsWith(".") ? normalize(join(dirname(from), specifier)) : undefined,
  }));
});

const layerOf = (file: string): string | undefined => /^src\/([^/]+)\//.exec(file)?.[1];
const text = ({ from, specifier }: Import): string => `${from} imports ${specifier}`;

test("the imports that the rules are about are found", () => {
  const found = new Set(imports.map(text));
  expect(found).toContain("src/ring/ring.ts imports ../sys/abi.ts");
  expect(found).toContain("src/ring/buffer-ring.ts imports ./ring.ts"); // import type
  expect(found).toContain("src/ring/index.ts imports ./arena.ts"); // export from
  expect(found).toContain("src/sys/library.ts imports bun:ffi");
  expect(found).toContain("test/unit/layers.test.ts imports bun:test");
});

test("every directory of src/ is a layer", () => {
  const directories = new Set(sources.map(layerOf).filter((layer) => layer !== undefined));
  expect([...directories].filter((layer) => !layers.includes(layer))).toEqual([]);
});

test("a layer imports from itself and the layers below it", () => {
  const upward = imports.filter(({ from, file }) => {
    const layer = layerOf(from);
    if (layer === undefined || file === undefined) return false;
    const target = layerOf(file);
    return target === undefined || layers.indexOf(target) > layers.indexOf(layer);
  });
  expect(upward.map(text)).toEqual([]);
});

test("src/ imports nothing but itself, Bun and Node", () => {
  const foreign = imports.filter(
    ({ from, specifier, file }) =>
      from.startsWith("src/") && (file ? !file.startsWith("src/") : !/^(bun|bun:\w+|node:[\w/]+)$/.test(specifier)),
  );
  expect(foreign.map(text)).toEqual([]);
});

test("bun:ffi is imported in src/sys/ alone", () => {
  const elsewhere = imports.filter(({ from, specifier }) => specifier === "bun:ffi" && !from.startsWith("src/sys/"));
  expect(elsewhere.map(text)).toEqual([]);
});

// The micro benchmarks measure internal parts, so they may import them.
test("benchmarks and examples import what is public", () => {
  const outside = (directory: string) =>
    imports.filter(
      ({ from, file }) =>
        from.startsWith(directory) && from !== "bench/micro.ts" && file?.startsWith(directory) === false,
    );
  const internal = [...outside("bench/"), ...outside("examples/")].filter(({ file }) => !publicFiles.includes(file!));
  expect(internal.map(text)).toEqual([]);
});

test("the public files are the exports of the package", () => {
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    exports: Record<string, string | { types: string }>;
  };
  const declarations = Object.values(exports).flatMap((entry) => (typeof entry === "string" ? [] : entry.types));
  const declared = declarations.map((file) => file.replace(/^\.\/dist\/types\/(.*)\.d\.ts$/, "src/$1.ts"));
  expect(declared.toSorted()).toEqual(publicFiles.toSorted());
});

test("imports of files name files that are there", () => {
  const missing = imports.filter(
    ({ from, file }) => file !== undefined && !files.includes(file) && !from.startsWith("test/"),
  );
  expect(missing.map(text)).toEqual([]);
});

test("no file is named after nothing in particular", () => {
  expect(files.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\.|\/)/i.test(file))).toEqual([]);
});

test("files are named in kebab-case", () => {
  const named = sources.map((file) => relative(dirname(file), file));
  expect(named.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|d))?\.(ts|tsx|js|mjs|cjs)$/.test(name))).toEqual([]);
});

/** Returns the names and lines of a file's classes. The formatter indents both ends alike. */
function classesIn(file: string): { name: string; lines: number }[] {
  const found = readFileSync(join(root, file), "utf8").matchAll(/^( *)(?:\S.*)?\bclass (\w+).*\{\n[^]*?^\1\}/gm);
  return [...found].map(([text, , name]) => ({ name: name!, lines: text.split("\n").length }));
}

/** Files that people write. */
const written = sources.filter(
  (file) => file.startsWith("src/") && !readFileSync(join(root, file), "utf8").startsWith("/* Generated by "),
);

test(`a file of src/ has at most ${FILE_LINES_MAX} lines`, () => {
  expect(written).toContain("src/ring/ring.ts");
  const long = written.filter((file) => readFileSync(join(root, file), "utf8").split("\n").length - 1 > FILE_LINES_MAX);
  expect(long).toEqual([]);
});

test(`a class of src/ has at most ${CLASS_LINES_MAX} lines`, () => {
  const classes = written.flatMap((file) => classesIn(file).map((each) => ({ file, ...each })));
  expect(classes.map(({ name }) => name)).toEqual(expect.arrayContaining(["Ring", "Exchange", "SystemError"]));
  expect(classes.filter(({ lines }) => lines > CLASS_LINES_MAX)).toEqual([]);
});

test("C is in ffi/, bench/limit/ and test/ alone", () => {
  const sourcesInC = files.filter((file) => /\.(c|h|cc|cpp)$/.test(file));
  expect(sourcesInC).toContain("ffi/ringloop.c");
  expect(sourcesInC.filter((file) => !/^(ffi|bench\/limit|test)\//.test(file))).toEqual([]);
});
