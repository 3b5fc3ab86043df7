package gpg

import (
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg/wire"
)

// ClearSign returns text with a signature of it by this key, which has to be
// valid now: with its signing subkey if it has one, and SHA-512. gpg --verify
// accepts it and exits 0, unless a line has more than 19 000 bytes.
//
// Clear-signed texts do not keep blanks at the ends of lines, so a text that has
// them is refused, as is one with control characters.
func (k *Key) ClearSign(text []byte) ([]byte, error) {
	signed, err := k.clearSign(text, time.Now())
	if err != nil {
		return nil, fmt.Errorf("cannot sign the text with key %s: %w", k.Fingerprint(), err)
	}
	return signed, nil
}

func (k *Key) clearSign(text []byte, now time.Time) ([]byte, error) {
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if what := wire.Misfit(line); what != "" {
			return nil, fmt.Errorf("line %d %s, which a clear-signed text cannot keep; remove it", i+1, what)
		}
	}
	signature, err := k.sign(packet.SigTypeText, []byte(strings.Join(lines, "\r\n")), now)
	if err != nil {
		return nil, err
	}
	return (&wire.ClearSigned{Hash: "SHA512", Lines: lines, Signature: signature}).Bytes()
}

// OpenClearSigned returns the text of a clear-signed file of up to 64 MiB, and
// the key of the ring that signed it: one SHA-2 signature, by a key that was
// valid at that time.
//
// The text is exactly what was signed, without the last line end; the file is
// not, so what counts is the text. The file has nothing before, between or behind
// the parts of one clear-signed text, and is written the way programs write it:
// lines do not end with blanks, all of them end with LF or all with CR LF, which
// is LF in the text, its Hash header names the hash of the signature, and the
// checksum of the armor, if there is one, is right. Otherwise the error is
// ErrNotClearSigned or ErrDamaged; those of VerifyDetached come in addition.
func (r *Keyring) OpenClearSigned(file []byte, at time.Time) (text []byte, signer *Key, err error) {
	defer contained(&err)
	if len(file) > largestSigned {
		return nil, nil, fmt.Errorf("cannot open the signed text: %w", ErrTooLarge)
	}
	signed, err := wire.ParseClearSigned(file)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open the signed text: %w", err)
	}
	s, err := oneSignature(signed.Signature)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open the signed text: %w", err)
	}
	if s.SigType != packet.SigTypeText {
		return nil, nil, fmt.Errorf("cannot open the signed text: %w: it is not one of a text", ErrBadSignature)
	}
	if name, _ := hashName(s.Hash); name != signed.Hash {
		return nil, nil, fmt.Errorf("cannot open the signed text: %w: its Hash header says %s and its signature %s", ErrBadSignature, signed.Hash, name)
	}
	signer, err = r.signerOf(s, []byte(strings.Join(signed.Lines, "\r\n")), at)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open the signed text: %w", err)
	}
	return []byte(strings.Join(signed.Lines, "\n")), signer, nil
}
