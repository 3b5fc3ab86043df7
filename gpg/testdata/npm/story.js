// Encrypts, decrypts and makes keys with OpenPGP.js, and prints what came of
// it. The input, a JSON document in STORY, has armored keys and a message of
// the worker, in base64.
import * as openpgp from 'openpgp';

const { publicKey, privateKey, text, message } = JSON.parse(process.env.STORY);
const encryptionKeys = await openpgp.readKey({ armoredKey: publicKey });
const encoded = bytes => Buffer.from(bytes).toString('base64');
const { zlib, zip, uncompressed } = openpgp.enums.compression;

const encrypt = async (what, config) => encoded(await openpgp.encrypt({
  message: await openpgp.createMessage(what),
  encryptionKeys,
  format: 'binary',
  config,
}));

const messages = {
  uncompressed: await encrypt({ text }, { preferredCompressionAlgorithm: uncompressed }),
  zlib: await encrypt({ text }, { preferredCompressionAlgorithm: zlib }),
  zip: await encrypt({ text }, { preferredCompressionAlgorithm: zip }),
  binary: await encrypt({ binary: Buffer.from(text) }, {}),
  'in parts': await encrypt({ text }, { allowUnauthenticatedStream: true, aeadChunkSizeByte: 0 }),
};

const made = {};
for (const [name, options] of Object.entries({
  curve25519: { type: 'ecc', curve: 'curve25519Legacy' },
  modern: { type: 'curve25519' },
})) {
  const key = await openpgp.generateKey({ ...options, userIDs: [{ name: 'Made', email: 'made@example.com' }], format: 'object' });
  made[name] = {
    key: key.privateKey.armor(),
    message: encoded(await openpgp.encrypt({
      message: await openpgp.createMessage({ text }),
      encryptionKeys: key.publicKey,
      format: 'binary',
    })),
  };
}

const { data } = await openpgp.decrypt({
  message: await openpgp.readMessage({ binaryMessage: Buffer.from(message, 'base64') }),
  decryptionKeys: await openpgp.readPrivateKey({ armoredKey: privateKey }),
});

console.log(JSON.stringify({ messages, made, read: data }));
