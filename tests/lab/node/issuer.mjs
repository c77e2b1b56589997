// SPDX-License-Identifier: MIT
// OpenID issuers for the lab on npm's oidc-provider: each tenant has two, named as Microsoft Entra
// ID names its own (v1 and v2), with the same keys. Told what to be by one JSON file, and what to
// do over a control port:
//
//   GET  /counts                 {"TENANT": {"discovery": 1, "jwks": 1}, ...}
//   PUT  /tenants/TENANT         a JWK set with private keys: its keys from now on
//   PUT  /mode                   "up", "down" (nobody listens), "fail" (500), "stall" (no answer
//                                before another mode)
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { pathToFileURL } from 'node:url';

// oidc-provider is written for a newer Node.js than Debian 12 has; this is all that it misses.
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);

const [, , packages, settingsFile] = process.argv;
const { default: Provider } = await import(
  pathToFileURL(`${packages}/node_modules/oidc-provider/lib/index.js`).href);
const settings = JSON.parse(readFileSync(settingsFile, 'utf8'));

const tenants = new Map(); // by id: { v1, v2, discovery, jwks }
const connections = new Set();
const stalled = []; // what to do once that is over
let mode = 'up';

const HOUR_S = 3600;

// Claims travel in a field of the request: who asks for a token says what is to be in it.
function wantedClaims(context) {
  return JSON.parse(context.req.headers['x-lab-claims'] ?? '{}');
}

function configuration(tenant, version, jwks) {
  return {
    jwks,
    clients: [{
      client_id: 'lab', client_secret: 'lab', redirect_uris: [], response_types: [],
      grant_types: ['client_credentials'], token_endpoint_auth_method: 'client_secret_post',
    }],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (context, resource) => ({
          audience: resource, scope: '', accessTokenFormat: 'jwt', accessTokenTTL: HOUR_S,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    extraTokenClaims: (context) => ({ tid: tenant, ver: version, ...wantedClaims(context) }),
    formats: {
      customizers: {
        // Microsoft's tokens have nbf, and "JWT" where RFC 9068 has "at+jwt".
        jwt(context, token, jwt) {
          jwt.payload.nbf = jwt.payload.iat;
          if (version === '1.0') jwt.header = { typ: 'JWT' };
        },
      },
    },
  };
}

function provider(issuer, tenant, version, jwks) {
  const made = new Provider(issuer, configuration(tenant, version, jwks));
  made.on('server_error', (context, error) => console.error('issuer.error', error));
  return made.callback();
}

function useKeys(id, jwks) {
  const counts = tenants.get(id)?.counts ?? { discovery: 0, jwks: 0 };
  tenants.set(id, {
    counts,
    'v1.0': provider(`https://sts.windows.net/${id}/`, id, '1.0', jwks),
    'v2.0': provider(`https://login.microsoftonline.com/${id}/v2.0`, id, '2.0', jwks),
  });
}

function count(tenant, path) {
  if (path.startsWith('/.well-known/')) tenant.counts.discovery += 1;
  if (path.startsWith('/jwks')) tenant.counts.jwks += 1;
}

function onRequest(request, response) {
  const [, id, version] = request.url.split('/');
  const path = request.url.slice(`/${id}/${version}`.length);
  const tenant = tenants.get(id);
  if (tenant) count(tenant, path);
  const serve = () => answer(tenant?.[version], path, request, response);
  if (mode === 'stall') stalled.push(serve);
  else serve();
}

function answer(issuer, path, request, response) {
  if (mode === 'fail' || !issuer) {
    response.writeHead(mode === 'fail' ? 500 : 404).end();
    return;
  }
  // oidc-provider finds out from the two where it is mounted.
  request.originalUrl = request.url;
  request.url = path;
  issuer(request, response);
}

const server = createSecureServer({
  cert: readFileSync(settings.certificate), key: readFileSync(settings.key),
}, onRequest);
server.on('connection', (socket) => {
  connections.add(socket);
  socket.on('close', () => connections.delete(socket));
});

function listen() {
  return new Promise((resolve) => server.listen(settings.port, '127.0.0.1', resolve));
}

async function enterMode(wanted) {
  if (wanted !== 'down' && !server.listening) await listen();
  if (wanted === 'down' && server.listening) {
    server.close();
    connections.forEach((socket) => socket.destroy());
  }
  mode = wanted;
  if (mode !== 'stall') stalled.splice(0).forEach((serve) => serve());
}

async function obey(request, body) {
  const [, what, id] = request.url.split('/');
  if (what === 'tenants') useKeys(id, JSON.parse(body));
  if (what === 'mode') await enterMode(JSON.parse(body));
  return Object.fromEntries([...tenants].map(([name, tenant]) => [name, tenant.counts]));
}

const control = createServer(async (request, response) => {
  let body = '';
  for await (const piece of request) body += piece;
  try {
    response.end(JSON.stringify(await obey(request, body)));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});

Object.entries(settings.tenants).forEach(([id, jwks]) => useKeys(id, jwks));
await listen();
control.listen(settings.control, '127.0.0.1', () => console.log('issuer.ready'));
