import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import type { HealthRegistry, HealthReport } from './health.js';

export interface OpsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** /metrics, /health/live and /health/ready for a process that serves nothing else. Port 0 takes any free one. */
export async function startOpsServer(options: {
  readonly port: number;
  readonly host?: string;
  readonly health: HealthRegistry;
  readonly registry: Registry;
}): Promise<OpsServer> {
  const { port, host = '127.0.0.1', health, registry } = options;
  const answer = async (path: string, response: ServerResponse): Promise<void> => {
    switch (path) {
      case '/metrics':
        return send(response, 200, registry.contentType, await registry.metrics());
      case '/health/live':
        return sendReport(response, await health.live());
      case '/health/ready':
        return sendReport(response, await health.ready());
      default:
        return send(response, 404, 'text/plain', 'not found\n');
    }
  };
  const server = createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?');
    if (request.method !== 'GET' && request.method !== 'HEAD') send(response, 405, 'text/plain', 'only GET\n');
    else answer(path, response).catch(() => send(response, 500, 'text/plain', 'failed\n'));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    // An address of a listening TCP server is never a path nor null.
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function sendReport(response: ServerResponse, report: HealthReport): void {
  send(response, report.status === 'ok' ? 200 : 503, 'application/json', `${JSON.stringify(report)}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}
