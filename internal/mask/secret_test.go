package mask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretIsNotShown prints a secret in the usual ways, by itself and in
// an exported field.
func TestSecretIsNotShown(t *testing.T) {
	t.Parallel()
	const secret = Secret("hunter2")
	inside := struct{ Token Secret }{secret}
	for _, value := range []any{secret, inside, &inside, map[string]Secret{"token": secret}} {
		var out bytes.Buffer
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&out, format, value)
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(encoded)
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "value", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("JSON", "value", value)
		if strings.Contains(out.String(), string(secret)) || !strings.Contains(out.String(), Mark) {
			t.Errorf("%T is shown as %s", value, out.String())
		}
	}
}
