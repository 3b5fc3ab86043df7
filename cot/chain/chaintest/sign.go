package chaintest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
	"github.com/taskcluster/generic-worker/gpg"
)

// Where certificates are.
const (
	ClearSigned = "public/chainOfTrust.json.asc"
	Certificate = "public/chain-of-trust.json"
	Signature   = "public/chain-of-trust.json.sig"
)

// Signer is the key of a worker, of the World's profile.
type Signer struct {
	Ed25519 ed25519.PrivateKey
	OpenPGP *gpg.Key
}

// NewSigner makes a key.
func (w *World) NewSigner(name string) *Signer {
	w.t.Helper()
	if w.Profile == chain.Ed25519 {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			w.t.Fatal(err)
		}
		return &Signer{Ed25519: private}
	}
	key, err := gpg.Generate(gpg.Spec{
		Name: name, Email: name + "@example.org", Algorithm: gpg.Curve25519, Now: w.Resolved.Add(-24 * time.Hour),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return &Signer{OpenPGP: key}
}

// Public is the entry of a policy for the key.
func (s *Signer) Public(name string) chain.Key {
	return chain.Key{Name: name, Public: s.Ed25519.Public().(ed25519.PublicKey)}
}

func (w *World) makeSigners() {
	w.t.Helper()
	w.Signers = map[string]*Signer{}
	for _, name := range []string{trust.DockerWorker, trust.GenericWorker, trust.ScriptWorker, "stranger", "trusted"} {
		w.Signers[name] = w.NewSigner(name)
	}
}

// trustedKeys trusts the keys of all implementations, each for its own.
func (w *World) trustedKeys() map[string]chain.Keys {
	w.t.Helper()
	keys := map[string]chain.Keys{}
	for _, name := range []string{trust.DockerWorker, trust.GenericWorker, trust.ScriptWorker} {
		signer := w.Signers[name]
		if w.Profile == chain.Ed25519 {
			keys[name] = chain.Keys{Ed25519: []chain.Key{signer.Public(name)}}
		} else {
			keys[name] = chain.Keys{OpenPGP: gpg.NewKeyring(signer.OpenPGP)}
		}
	}
	if w.Profile == chain.GPG {
		root := w.Signers["trusted"].OpenPGP
		host, err := root.Certify(w.Signers[trust.ScriptWorker].OpenPGP, w.Resolved.Add(-2*time.Hour))
		if err != nil {
			w.t.Fatal(err)
		}
		keys[trust.ScriptWorker] = chain.Keys{OpenPGP: gpg.NewKeyring(host), CertifiedBy: gpg.NewKeyring(root)}
	}
	return keys
}

// Sign writes task-graph.json of what was published, and the certificates of
// all tasks as they are now.
func (w *World) Sign() {
	w.t.Helper()
	for id, graph := range w.Graphs {
		w.Tasks[id].Files["public/task-graph.json"] = w.encode(graph)
	}
	for _, task := range w.Tasks {
		if task.Signer != "" {
			w.SignTask(task)
		}
	}
}

// SignTask writes the certificate of one task.
func (w *World) SignTask(task *Task) {
	w.t.Helper()
	c := cot.Certificate{
		TaskID: task.ID, RunID: len(task.Runs) - 1, WorkerGroup: "group", WorkerID: "worker",
		Task: w.encode(task.Definition), Artifacts: map[string]map[string]string{}, Environment: map[string]json.RawMessage{},
	}
	for name, data := range task.Files {
		c.Artifacts[name] = map[string]string{"sha256": sum(data)}
	}
	for name, value := range task.Environment {
		c.Environment[name] = w.encode(value)
	}
	body, err := c.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	if task.Certify != nil {
		var sworn Map
		if err := json.Unmarshal(body, &sworn); err != nil {
			w.t.Fatal(err)
		}
		task.Certify(sworn)
		if body, err = json.MarshalIndent(sworn, "", " "); err != nil {
			w.t.Fatal(err)
		}
	}
	if task.Encode != nil {
		body = task.Encode(body)
	}
	signer := w.Signers[task.Signer]
	if w.Profile == chain.Ed25519 {
		task.Files[Certificate], task.Files[Signature] = body, ed25519.Sign(signer.Ed25519, body)
		return
	}
	if task.Files[ClearSigned], err = signer.OpenPGP.ClearSign(body); err != nil {
		w.t.Fatal(err)
	}
}

func sum(data []byte) string {
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:])
}
