package encryptedenv

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/mask"
)

// Message is one variable for one task.
type Message struct {
	TaskID string
	// Start and End are the first and the last moment at which the task may
	// start, in milliseconds since 1970.
	Start, End float64
	Name       string
	Value      mask.Secret
}

// wire is a Message as it is encrypted, in this order.
type wire struct {
	MessageVersion int     `json:"messageVersion"`
	TaskID         string  `json:"taskId"`
	StartTime      float64 `json:"startTime"`
	EndTime        float64 `json:"endTime"`
	Name           string  `json:"name"`
	Value          string  `json:"value"`
}

// Seal encrypts a message to a key and returns the item for a payload: one
// line of base64 in the standard alphabet. A message that no worker would take,
// because of itself alone, is an error.
func Seal(key *gpg.Key, m Message) (string, error) {
	if err := cmp.Or(m.checkWindow(), m.checkName(variableKey), m.checkValue()); err != nil {
		return "", fmt.Errorf("the variable %w", err)
	}
	plain, err := json.Marshal(wire{1, m.TaskID, m.Start, m.End, m.Name, string(m.Value)})
	if err != nil {
		return "", fmt.Errorf("cannot encode the variable: %w", err)
	}
	message, err := key.Encrypt(plain)
	if err != nil {
		return "", fmt.Errorf("cannot encrypt the variable: %w", err)
	}
	if len(message) > maxMessage {
		return "", fmt.Errorf("the encrypted variable has %d bytes, and may have %d; put what is large into a file", len(message), maxMessage)
	}
	return base64.StdEncoding.EncodeToString(message), nil
}

// members are what a message consists of.
var members = [...]string{"messageVersion", "taskId", "startTime", "endTime", "name", "value"}

// parse reads what was encrypted. Its errors repeat nothing of it.
func parse(plain []byte) (Message, error) {
	raw, err := object(plain)
	if err != nil {
		return Message{}, err
	}
	if !isVersion(raw["messageVersion"]) {
		return Message{}, errors.New("has a messageVersion that is not known here; write 1")
	}
	var m Message
	var value string
	for _, member := range []struct {
		name string
		read func(json.RawMessage) error
	}{
		{"taskId", into(&m.TaskID, text)},
		{"startTime", into(&m.Start, number)},
		{"endTime", into(&m.End, number)},
		{"name", into(&m.Name, text)},
		{"value", into(&value, text)},
	} {
		if err := member.read(raw[member.name]); err != nil {
			return Message{}, fmt.Errorf("has a %s that %w", member.name, err)
		}
	}
	m.Value = mask.Secret(value)
	return m, nil
}

func into[T any](field *T, read func(json.RawMessage) (T, error)) func(json.RawMessage) error {
	return func(raw json.RawMessage) (err error) {
		*field, err = read(raw)
		return err
	}
}

// object splits the text of a JSON object that has the members of a message,
// each once, and nothing else.
func object(plain []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(plain))
	begin, err := decoder.Token()
	if err != nil || begin != json.Delim('{') || !utf8.Valid(plain) || !json.Valid(plain) {
		return nil, errNoObject
	}
	found := map[string]json.RawMessage{}
	for decoder.More() {
		key, err := decoder.Token()
		name, _ := key.(string)
		var value json.RawMessage
		if err == nil {
			err = decoder.Decode(&value)
		}
		switch {
		case err != nil:
			return nil, errNoObject
		case !slices.Contains(members[:], name):
			return nil, fmt.Errorf("has a member that is none of %s; remove it, or mend its name", strings.Join(members[:], ", "))
		case found[name] != nil:
			return nil, fmt.Errorf("has the member %s twice; remove one of the two", name)
		}
		found[name] = value
	}
	for _, name := range members {
		if found[name] == nil {
			return nil, fmt.Errorf("has no member %s; add it: %s are all required", name, strings.Join(members[:], ", "))
		}
	}
	return found, nil
}

var errNoObject = errors.New("does not have one JSON object in UTF-8 in it, and nothing behind that; encrypt an object as docs/encrypted-env.md describes it")

// isVersion accepts 1, which is in the documents, and "1", which is what the
// programs that made such messages wrote.
func isVersion(raw json.RawMessage) bool {
	n, err := number(raw)
	if err == nil {
		return n == 1
	}
	s, err := text(raw)
	return err == nil && s == "1"
}

// text reads a string, and refuses one that cannot be read unchanged.
func text(raw json.RawMessage) (string, error) {
	var s string
	if len(raw) == 0 || raw[0] != '"' {
		return "", errors.New("is not a string; put it in quotes")
	}
	if json.Unmarshal(raw, &s) != nil || !paired(string(raw)) {
		return "", errors.New("has half of a surrogate pair in it, which is no character; escape it as UTF-16 does, or write it in UTF-8")
	}
	return s, nil
}

// paired tells whether all surrogates in the escapes of a JSON string come in
// pairs: of others the decoder makes U+FFFD without a word.
func paired(raw string) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		r := escaped(raw[i:])
		if !utf16.IsSurrogate(r) {
			continue
		}
		i += len("uXXXX")
		if !strings.HasPrefix(raw[i:], `\`) || utf16.DecodeRune(r, escaped(raw[i+1:])) == utf8.RuneError {
			return false
		}
		i += len("uXXXX")
	}
	return true
}

// escaped is the code unit of an escape such as uD83D, and 0 for other escapes.
func escaped(s string) rune {
	if len(s) < len("uXXXX") || s[0] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(s[1:len("uXXXX")], 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}

// number reads a number that is finite.
func number(raw json.RawMessage) (float64, error) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, errors.New("is not a number; write it without quotes")
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, errors.New("is too large a number; write milliseconds since 1970")
	}
	return n, nil
}

// moment is a time as it stands in a message.
func moment(ms float64) string {
	return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02T15:04:05.000Z")
}
