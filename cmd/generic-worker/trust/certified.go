package trust

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/task"
)

// Certified is a certificate that was verified.
type Certified struct {
	KeyID       string `json:"keyId"`       // of the ed25519 key
	Fingerprint string `json:"fingerprint"` // of the OpenPGP key
	Artifacts   int    `json:"artifacts"`   // how many it has the right hashes of
	body        []byte
}

// Verify opens the certificate of a run in both of its forms, from the artifacts
// in dir, and compares it with what was published. It returns nil for a run
// without a certificate.
func Verify(keys cot.Signer, s task.Summary, dir string) (*Certified, error) {
	published := map[string]string{}
	for _, a := range s.Artifacts {
		published[a.Name] = a.SHA256
	}
	if published[cot.BodyName] == "" {
		return nil, nil
	}
	var body, signature, clearSigned []byte
	for name, to := range map[string]*[]byte{cot.BodyName: &body, cot.SignatureName: &signature, cot.ClearSignedName: &clearSigned} {
		var err error
		if *to, err = os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return nil, fmt.Errorf("cannot read the certificate: %w", err)
		}
	}
	key := keys.Ed25519.Public()
	c, _, err := cot.OpenEd25519(body, signature, []ed25519.PublicKey{key})
	if err != nil {
		return nil, err
	}
	again, by, err := cot.OpenClearSigned(clearSigned, gpg.NewKeyring(keys.OpenPGP), time.Now())
	if err != nil {
		return nil, err
	}
	if c.TaskID != s.TaskID || c.RunID != s.RunID || again.TaskID != s.TaskID || again.RunID != s.RunID {
		return nil, errors.New("cannot verify certificate: it is about another run")
	}
	for name, sums := range c.Artifacts {
		// What was saved has been compared with what was published.
		if sums[cot.SHA256] != published[name] || again.Artifacts[name][cot.SHA256] != published[name] {
			return nil, fmt.Errorf("cannot verify certificate: artifact %s has another hash than it names", name)
		}
	}
	return &Certified{KeyID: cot.KeyID(key), Fingerprint: by.Fingerprint(), Artifacts: len(c.Artifacts), body: body}, nil
}

// Print shows the certificate and what was verified.
func (c *Certified) Print(out io.Writer) error {
	_, err := fmt.Fprintf(out, "\n%s\n\n"+
		"✓ %s signed by throw-away key %s\n"+
		"✓ %s signed by throw-away key %s\n"+
		"✓ %d artifacts have the hashes they name\n",
		c.body, cot.BodyName, c.KeyID, cot.ClearSignedName, c.Fingerprint, c.Artifacts)
	return err
}
