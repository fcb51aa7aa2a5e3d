export { constantTimeEqual, deriveKey, keyEncryptionKey, type KeyEncryptionKey } from './keys.js';
export { SealBroken, UnknownSealKey, Vault, type SecretPlace } from './vault.js';
export {
  checksumOk,
  hashToken,
  kindOfToken,
  newSecretToken,
  tokenPrefix,
  TOKEN_KINDS,
  TOKEN_PATTERN,
  type TokenKind,
} from './token.js';
