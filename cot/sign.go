package cot

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/taskcluster/generic-worker/gpg"
)

// Names of the artifacts that belong to a certificate, in the order in which
// they are published. The log is one of the artifacts that the certificate is about.
const (
	LogName         = "public/logs/certified.log"
	BodyName        = "public/chain-of-trust.json"
	SignatureName   = "public/chain-of-trust.json.sig"
	ClearSignedName = "public/chainOfTrust.json.asc"
	ProvenanceName  = "public/provenance.intoto.jsonl"
)

// File is one file of a signed certificate, as it is to be published.
type File struct {
	Name        string
	ContentType string
	Gzip        bool // stored compressed
	Content     []byte
}

const plainText = "text/plain; charset=utf-8"

// Signer signs certificates with the keys it has.
type Signer struct {
	Ed25519 *Ed25519Key // nil: no detached signature and no provenance
	OpenPGP *gpg.Key    // nil: no clear-signed certificate
}

// ErrLongLine says that a certificate has a line that gpg would cut off, so that
// it would call the signature bad.
var ErrLongLine = errors.New("a string is too long for a clear-signed certificate")

// maxLine is below the 19,995 bytes that gpg reads of a line.
const maxLine = 19_000

// maxDefinition leaves room in a certificate for what the worker adds.
const maxDefinition = MaxBytes / 2

// Check tells ahead whether a certificate about a task can be signed; the error
// wraps ErrMalformed or ErrLongLine.
func (s Signer) Check(task json.RawMessage) error {
	if _, err := read(task); err != nil {
		return err
	}
	// One level deeper, as it will be.
	form, err := Canonical(slices.Concat([]byte("["), task, []byte("]")))
	if err != nil {
		return err
	}
	if len(form) > maxDefinition {
		return malformed("in a certificate it is longer than %d MiB", maxDefinition>>20)
	}
	return s.lines(form)
}

func (s Signer) lines(body []byte) error {
	if s.OpenPGP == nil {
		return nil
	}
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		if len(line) > maxLine {
			return fmt.Errorf("%w: a line has %d bytes and begins %s", ErrLongLine, len(line), brief(string(bytes.TrimSpace(line))))
		}
	}
	return nil
}

// Sign returns the files of a certificate, in the order in which they are
// published: the certificate itself, and what the keys make. The same certificate
// has the same bytes and the same ed25519 signature each time.
func (s Signer) Sign(c *Certificate, b Build) ([]File, error) {
	body, err := c.Encode()
	if err != nil {
		return nil, err
	}
	if err := s.lines(body); err != nil {
		return nil, fmt.Errorf("cannot sign certificate: %w", err)
	}
	files := []File{{Name: BodyName, ContentType: plainText, Gzip: true, Content: body}}
	if s.Ed25519 != nil {
		signature := ed25519.Sign(s.Ed25519.private, body)
		files = append(files, File{Name: SignatureName, ContentType: "application/octet-stream", Content: signature})
	}
	if s.OpenPGP != nil {
		signed, err := s.OpenPGP.ClearSign(body)
		if err != nil {
			return nil, fmt.Errorf("cannot sign certificate: %w", err)
		}
		files = append(files, File{Name: ClearSignedName, ContentType: plainText, Gzip: true, Content: signed})
	}
	if s.Ed25519 != nil {
		provenance, err := s.provenance(c, b, body)
		if err != nil {
			return nil, fmt.Errorf("cannot sign provenance: %w", err)
		}
		files = append(files, File{Name: ProvenanceName, ContentType: "application/jsonl", Gzip: true, Content: provenance})
	}
	return files, nil
}
