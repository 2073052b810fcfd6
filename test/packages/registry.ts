/** An npm registry on the loopback interface. It has only the packages of a directory. */
import { join } from "node:path";

interface Manifest {
  name: string;
  version: string;
}

async function manifestOf(tarball: string): Promise<Manifest> {
  const files = await new Bun.Archive(await Bun.file(tarball).bytes()).files("package/package.json");
  return JSON.parse(await files.get("package/package.json")!.text()) as Manifest;
}

export interface Registry extends Disposable {
  /** The URL of the registry for npm and Bun. */
  url: string;
  /** The requested paths. */
  asked: string[];
}

/** Serves every .tgz of the directory. */
export async function serveRegistry(directory: string): Promise<Registry> {
  const asked: string[] = [];
  const packages = new Map<string, { file: string; integrity: string; manifest: Manifest }>();
  for (const file of new Bun.Glob("*.tgz").scanSync({ cwd: directory })) {
    const path = join(directory, file);
    const manifest = await manifestOf(path);
    const integrity = `sha512-${new Bun.CryptoHasher("sha512").update(await Bun.file(path).bytes()).digest("base64")}`;
    packages.set(manifest.name, { file, integrity, manifest });
  }
  const server: Bun.Server<undefined> = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request): Response {
      const path = decodeURIComponent(new URL(request.url).pathname).slice(1);
      asked.push(path);
      if (path.endsWith(".tgz")) return new Response(Bun.file(join(directory, path)));
      const found = packages.get(path);
      if (found === undefined) return new Response("{}", { status: 404 });
      const { name, version } = found.manifest;
      const dist = { tarball: `${new URL(found.file, server.url)}`, integrity: found.integrity };
      const versions = { [version]: { ...found.manifest, dist } };
      return Response.json({ name, "dist-tags": { latest: version }, versions });
    },
  });
  return { url: server.url.href, asked, [Symbol.dispose]: () => void server.stop(true) };
}
