/**
 * Apps of node:http. The first part of the path chooses the app: a plain handler, a body, Express,
 * Fastify, Koa, NestJS, events, or a piped file. Node runs this file (`node node-apps.mjs`), and it
 * prints its port. Bun's programs import it.
 */
import "reflect-metadata";
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Controller, Get, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import express from "express";
import fastify from "fastify";
import Koa from "koa";

const directory = mkdtempSync(join(tmpdir(), "ringloop-bench-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
process.on("SIGTERM", () => process.exit(0));
const file = join(directory, "1MiB");
writeFileSync(file, Buffer.alloc(1 << 20, "1 MiB "));

function hello(_request, response) {
  response.end("Hello, World!");
}

function body(request, response) {
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (part) => (text += part));
  request.on("end", () => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ length: text.length, text }));
  });
}

function events(_request, response) {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  let id = 0;
  const next = () => {
    response.write(`id: ${id}\ndata: {"event":${id}}\n\n`);
    if (++id < 10) setImmediate(next);
    else response.end();
  };
  next();
}

function pipe(_request, response) {
  response.setHeader("Content-Length", 1 << 20);
  createReadStream(file).pipe(response);
}

function expressApp() {
  const app = express();
  app.use(express.json());
  app.get("/express", (_request, response) => response.send("Hello, World!"));
  app.get("/express-json/:id", ({ params }, response) => response.json({ id: params.id, name: "user" }));
  app.use("/express-file", express.static(directory));
  return app;
}

async function fastifyApp() {
  const app = fastify();
  app.get("/fastify", async () => ({ hello: "World" }));
  await app.ready();
  return app.routing;
}

function koaApp() {
  const app = new Koa();
  app.use((context) => (context.body = "Hello, World!"));
  return app.callback();
}

/** An app of NestJS on Express. Node has no decorators, so they are called as functions. */
async function nestApp() {
  class AppController {
    hello() {
      return "Hello, World!";
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(AppController.prototype, "hello");
  Get("nest")(AppController.prototype, "hello", descriptor);
  Controller()(AppController);
  function AppModule() {}
  Module({ controllers: [AppController] })(AppModule);
  const app = await NestFactory.create(AppModule, { logger: false });
  await app.init();
  return app.getHttpAdapter().getInstance();
}

/** Returns the handler of all apps. */
export async function makeHandler() {
  const onExpress = expressApp();
  const onNest = await nestApp();
  const apps = { hello, body, events, pipe, koa: koaApp(), fastify: await fastifyApp(), express: onExpress };
  const handlers = new Map(
    Object.entries({ ...apps, nest: onNest, "express-json": onExpress, "express-file": onExpress }),
  );
  return (request, response) => handlers.get(request.url.split("/", 2)[1])(request, response);
}

if (process.versions.bun === undefined) {
  const server = createServer(await makeHandler());
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}
