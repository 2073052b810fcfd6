declare const self: Worker;

self.onmessage = () => self.postMessage("pong");
