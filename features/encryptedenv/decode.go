package encryptedenv

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// decode returns the bytes of an item. It takes what encoders write, in the
// standard and in the URL alphabet, padded or not, in lines; also with blanks
// and tabs, which line breaks become in folded YAML. Each sequence of bytes has
// one text in each of these dialects: what no encoder writes is refused, such
// as bits behind the last byte that are not zero.
func decode(item string) ([]byte, error) {
	if len(item) > maxText {
		return nil, fmt.Errorf("has more than %d KiB of text; the message may have %d KiB before it is encoded: put what is large into a file", maxText>>10, maxMessage>>10)
	}
	text := strings.NewReplacer("\r", "", "\n", "", "\t", "", " ", "").Replace(item)
	if strings.ContainsAny(text, "-_") {
		if strings.ContainsAny(text, "+/") {
			return nil, errors.New("is base64 of two alphabets; use either + and / or - and _")
		}
		text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	}
	encoding := base64.RawStdEncoding
	if strings.HasSuffix(text, "=") {
		encoding = base64.StdEncoding
	}
	message, err := encoding.Strict().DecodeString(text)
	switch {
	case err != nil:
		return nil, errors.New("is not base64; encode the binary OpenPGP message, for example with base64 or openssl base64, and copy all of it")
	case len(message) == 0:
		return nil, errors.New("is empty; encode the binary OpenPGP message, or remove the item")
	case len(message) > maxMessage:
		return nil, fmt.Errorf("is a message of %d bytes, and may have %d; put what is large into a file", len(message), maxMessage)
	}
	return message, nil
}
