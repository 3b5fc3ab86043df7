package cot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Certificate is what a worker says about one run of a task.
type Certificate struct {
	TaskID      string // 22 characters
	RunID       int
	WorkerGroup string
	WorkerID    string
	// Task is the definition as the queue sent it; after Parse, as it stands in
	// the certificate.
	Task json.RawMessage
	// Artifacts are the artifacts with data: name, algorithm (sha256, sha384 or
	// sha512 at least), lower-case hex of the content before it was encoded.
	Artifacts map[string]map[string]string
	// Environment is what the worker says about itself and how the run ended.
	Environment map[string]json.RawMessage
	// OtherArtifacts are those without data, by name: "link", "reference" or "error".
	OtherArtifacts map[string]string
	// Unverified is a JSON object that the task wrote, or nil: the worker vouches
	// for none of it.
	Unverified json.RawMessage
}

// SHA256 names the algorithm in Certificate.Artifacts.
const SHA256 = "sha256"

// Version is the version of the form of certificates.
const version = 1

// The members of a certificate. Those up to workerId are in every certificate.
const (
	memberArtifacts      = "artifacts"
	memberVersion        = "chainOfTrustVersion"
	memberEnvironment    = "environment"
	memberRunID          = "runId"
	memberTask           = "task"
	memberTaskID         = "taskId"
	memberWorkerGroup    = "workerGroup"
	memberWorkerID       = "workerId"
	memberWorkerType     = "workerType" // some workers write it
	memberOtherArtifacts = "otherArtifacts"
	memberUnverified     = "unverified"
)

// Encode writes the certificate in the only form it has: JSON in ASCII with
// sorted members, two spaces for each level, numbers with the digits they came
// with, and no newline at the end. Parse reads what it returns; what Parse would
// refuse is an error.
func (c *Certificate) Encode() ([]byte, error) {
	all := map[string]any{
		memberArtifacts: c.Artifacts, memberVersion: version, memberEnvironment: c.Environment,
		memberRunID: c.RunID, memberTask: c.Task, memberTaskID: c.TaskID,
		memberWorkerGroup: c.WorkerGroup, memberWorkerID: c.WorkerID,
	}
	if c.OtherArtifacts != nil {
		all[memberOtherArtifacts] = c.OtherArtifacts
	}
	if c.Unverified != nil {
		all[memberUnverified] = c.Unverified
	}
	if err := c.spelled(); err != nil {
		return nil, fmt.Errorf("cannot encode certificate: %w", err)
	}
	text, err := json.Marshal(all)
	if err == nil {
		text, err = Canonical(text)
	}
	if err == nil {
		_, err = Parse(text)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot encode certificate: %w", err)
	}
	return text, nil
}

// spelled refuses what encoding would change.
func (c *Certificate) spelled() error {
	for name := range c.Artifacts {
		if !utf8.ValidString(name) {
			return fmt.Errorf("the artifact name %q is not UTF-8", name)
		}
	}
	for name := range c.OtherArtifacts {
		if !utf8.ValidString(name) {
			return fmt.Errorf("the artifact name %q is not UTF-8", name)
		}
	}
	if !utf8.Valid(c.Task) || !utf8.Valid(c.Unverified) {
		return fmt.Errorf("the task is not UTF-8")
	}
	return nil
}

// DefinitionSHA256 is the hash of a task definition in the form that Encode
// gives it, in lower-case hex: the same for two definitions that differ only in
// white space, the order of members or how characters are escaped.
func DefinitionSHA256(task json.RawMessage) (string, error) {
	text, err := Canonical(task)
	if err != nil {
		return "", fmt.Errorf("cannot hash the task definition: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// maxUnverified bounds what a task may write into its certificate.
const maxUnverified = 64 << 10

// ReadUnverified reads what a task wrote for Certificate.Unverified: one JSON
// object of at most 64 KiB, nested at most 32 deep, that every reader understands
// in the same way. The error wraps ErrMalformed.
func ReadUnverified(text []byte) (json.RawMessage, error) {
	if len(text) > maxUnverified {
		return nil, malformed("it is longer than %d KiB", maxUnverified>>10)
	}
	root, err := readTo(text, maxUnverifiedDepth)
	if err != nil {
		return nil, err
	}
	if !root.isObject() {
		return nil, malformed("it is not an object")
	}
	return bytes.TrimSpace(text), nil
}

const maxUnverifiedDepth = 32
