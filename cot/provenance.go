package cot

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Build is what provenance tells beyond the certificate.
type Build struct {
	RootURL  string // of the Taskcluster deployment; begins every URI
	Version  string // of the worker
	Started  time.Time
	Finished time.Time
}

// BuildType says what the parameters of a provenance mean: docs/chain-of-trust.md.
const BuildType = "https://github.com/taskcluster/generic-worker/chain-of-trust/v1"

// Types of the in-toto statement and its envelope.
const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	payloadType   = "application/vnd.in-toto+json"
)

// descriptor is a resource as in-toto describes it.
type descriptor struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

type statement struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     predicate    `json:"predicate"`
}

type predicate struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string         `json:"buildType"`
	ExternalParameters   map[string]any `json:"externalParameters"`
	InternalParameters   map[string]any `json:"internalParameters"`
	ResolvedDependencies []descriptor   `json:"resolvedDependencies"`
}

type runDetails struct {
	Builder struct {
		ID      string            `json:"id"`
		Version map[string]string `json:"version,omitempty"`
	} `json:"builder"`
	Metadata struct {
		InvocationID string `json:"invocationId"`
		StartedOn    string `json:"startedOn,omitempty"`
		FinishedOn   string `json:"finishedOn,omitempty"`
	} `json:"metadata"`
	Byproducts []descriptor `json:"byproducts"`
}

// envelope is a DSSE envelope.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// provenance is the same run as an in-toto statement with a SLSA predicate, in
// one line.
func (s Signer) provenance(c *Certificate, b Build, body []byte) ([]byte, error) {
	stated, err := newStatement(c, b, body)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(stated)
	if err == nil {
		text, err = Canonical(text)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot encode the statement: %w", err)
	}
	line, err := json.Marshal(envelope{
		PayloadType: payloadType,
		Payload:     text,
		Signatures:  []signature{{KeyID: KeyID(s.Ed25519.Public()), Sig: ed25519.Sign(s.Ed25519.private, preAuthentication(text))}},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot encode the envelope: %w", err)
	}
	return append(line, '\n'), nil
}

// preAuthentication is what the signature of an envelope is over: its type and its
// payload, each behind its length.
func preAuthentication(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

func newStatement(c *Certificate, b Build, body []byte) (*statement, error) {
	task, err := read(c.Task)
	if err != nil {
		return nil, fmt.Errorf("cannot understand the task: %w", err)
	}
	st := &statement{Type: statementType, PredicateType: predicateType}
	for _, name := range slices.Sorted(maps.Keys(c.Artifacts)) {
		st.Subject = append(st.Subject, descriptor{Name: name, Digest: c.Artifacts[name]})
	}
	tasks := b.RootURL + "/tasks/"
	st.Predicate.BuildDefinition = buildDefinition{
		BuildType:            BuildType,
		ExternalParameters:   map[string]any{"task": c.Task},
		InternalParameters:   map[string]any{"environment": c.Environment, "workerGroup": c.WorkerGroup, "workerId": c.WorkerID},
		ResolvedDependencies: []descriptor{},
	}
	for _, on := range task.get(taskDependencies).items {
		st.Predicate.BuildDefinition.ResolvedDependencies = append(st.Predicate.BuildDefinition.ResolvedDependencies, descriptor{URI: tasks + on.text()})
	}
	run := &st.Predicate.RunDetails
	run.Builder.ID = b.RootURL + poolPath(task)
	if b.Version != "" {
		run.Builder.Version = map[string]string{"generic-worker": b.Version}
	}
	run.Metadata.InvocationID = tasks + c.TaskID + "/runs/" + strconv.Itoa(c.RunID)
	run.Metadata.StartedOn, run.Metadata.FinishedOn = stamp(b.Started), stamp(b.Finished)
	sum := sha256.Sum256(body)
	run.Byproducts = []descriptor{{Name: BodyName, Digest: map[string]string{SHA256: hex.EncodeToString(sum[:])}}}
	return st, nil
}

// poolPath is where a deployment shows the pool of a task.
func poolPath(task *value) string {
	text := func(name string) string {
		if v := task.get(name); v != nil && v.isString() {
			return v.text()
		}
		return ""
	}
	provisioner, workerType, named := strings.Cut(text(taskTaskQueueID), "/")
	if !named {
		provisioner, workerType = text(taskProvisionerID), text(taskWorkerType)
	}
	return "/provisioners/" + provisioner + "/worker-types/" + workerType
}

// stamp writes a time as in-toto does; nothing for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
