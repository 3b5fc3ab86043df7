package keyrepo

import (
	"errors"
	"strings"
	"testing"
)

// TestC17DuplicateKeyIDs: two keys with one id are refused. No such keys are
// made here, as that takes years.
func TestC17DuplicateKeyIDs(t *testing.T) {
	t.Parallel()
	const id = "0123456789ABCDEF"
	a, b, c := strings.Repeat("A", 24)+id, strings.Repeat("B", 24)+id, strings.Repeat("A", 40)
	o := owners{ids: map[string]string{}, directories: map[string]string{}}
	for _, row := range []struct {
		fingerprint, implementation string
		want                        error
	}{
		{a, "docker-worker", nil},
		{a, "docker-worker", nil},
		{c, "docker-worker", nil},
		{b, "docker-worker", ErrAmbiguous},
		{b, "generic-worker", ErrAmbiguous},
		{c, "generic-worker", ErrAmbiguous},
	} {
		if err := o.claim(row.fingerprint, row.implementation); !errors.Is(err, row.want) {
			t.Errorf("%s in %s: %v, want %v", row.fingerprint, row.implementation, err, row.want)
		}
	}
}
