// SPDX-License-Identifier: MIT
// What npm's jose says of tokens. Standard input: {"jwks", "issuer", "audience", "tokens": [...]};
// output: a list with null for each token that it takes, and else why it does not.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [, , packages] = process.argv;
const { createLocalJWKSet, jwtVerify } = await import(
  pathToFileURL(`${packages}/node_modules/jose/dist/webapi/index.js`).href);
const asked = JSON.parse(readFileSync(0, 'utf8'));
const keys = createLocalJWKSet(asked.jwks);
const rule = { issuer: asked.issuer, audience: asked.audience, requiredClaims: ['exp'] };

const verdicts = [];
for (const token of asked.tokens) {
  try {
    await jwtVerify(token, keys, rule);
    verdicts.push(null);
  } catch (error) {
    verdicts.push(`${error.code ?? error.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(verdicts));
