// A certified OpenID provider beside the tests, with its own pages for signing in and agreeing.
//
//   node provider.mjs <redirect uri>…
//
// Prints one line of JSON, {issuer, client_id, client_secret}, and runs until its standard input ends. Whoever signs in
// with an address as the name owns that address; the password is any.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

const server = createServer();
await new Promise((listens) => server.listen(0, "127.0.0.1", listens));
const issuer = `http://127.0.0.1:${server.address().port}`;

const keys = await Promise.all(
  ["RS256", "ES256"].map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    return { ...(await exportJWK(privateKey)), alg, use: "sig", kid: alg };
  }),
);
const client_id = "beyond-auth";
const client_secret = randomBytes(32).toString("base64url");

const provider = new Provider(issuer, {
  clients: [
    {
      client_id,
      client_secret,
      redirect_uris: process.argv.slice(2),
      grant_types: ["authorization_code", "refresh_token"],
      id_token_signed_response_alg: "ES256",
    },
  ],
  jwks: { keys },
  cookies: { keys: [randomBytes(32).toString("base64url")] },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  features: { devInteractions: { enabled: true } },
  pkce: { required: () => true },
  findAccount: (_context, name) => ({
    accountId: name,
    claims: () => ({ sub: name, email: name, email_verified: name.includes("@"), name: name.split("@")[0] }),
  }),
});
server.on("request", provider.callback());

console.log(JSON.stringify({ issuer, client_id, client_secret }));
process.stdin.resume().on("end", () => process.exit());
