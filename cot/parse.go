package cot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// Parse reads a certificate of version 1, from this worker or another one. It
// refuses text that two readers could understand in two ways: members that are
// there twice or in another case, a byte order mark, anything behind the
// document, text that is not UTF-8, and what is longer than MaxBytes or nested
// deeper than MaxDepth. Every artifact must have a hash that nobody can forge,
// in the usual form. Members that it does not know, which other workers write,
// are ignored. The error wraps ErrMalformed.
func Parse(body []byte) (*Certificate, error) {
	c := &Certificate{}
	root, err := read(body)
	if err == nil {
		err = c.fill(root)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read certificate: %w", err)
	}
	return c, nil
}

// known are the members a certificate may have; the first eight it must have.
var known = [...]string{
	memberArtifacts, memberVersion, memberEnvironment, memberRunID, memberTask, memberTaskID,
	memberWorkerGroup, memberWorkerID, memberWorkerType, memberOtherArtifacts, memberUnverified,
}

func (c *Certificate) fill(root *value) error {
	if err := spelling(root, known[:], known[:8]); err != nil {
		return err
	}
	if v := root.get(memberVersion); string(v.raw) != "1" {
		return malformed("%s is %s, and only 1 is known here", memberVersion, brief(string(v.raw)))
	}
	if v := root.get(memberUnverified); v != nil {
		if !v.isObject() {
			return malformed("%s is not an object", memberUnverified)
		}
		c.Unverified = bytes.Clone(v.raw)
	}
	for _, part := range []func(*value) error{c.identity, c.task, c.artifacts, c.environment, c.otherArtifacts} {
		if err := part(root); err != nil {
			return err
		}
	}
	return nil
}

// spelling refuses an object that lacks a member, or has one of the known ones
// in another case: readers that do not heed case would take it for the real one.
func spelling(v *value, known, required []string) error {
	if !v.isObject() {
		return malformed("it is not an object")
	}
	for _, name := range required {
		if v.get(name) == nil {
			return malformed("%s is missing", name)
		}
	}
	for _, m := range v.members {
		for _, name := range known {
			if strings.EqualFold(m.name, name) && m.name != name {
				return malformed("%s is there, which is %s in another case", brief(m.quoted), name)
			}
		}
	}
	return nil
}

var (
	slug    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`) })
	ordinal = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(0|[1-9][0-9]{0,5})$`) })
)

// identity reads which run the certificate is about, and who did it.
func (c *Certificate) identity(root *value) error {
	if run := root.get(memberRunID); ordinal().Match(run.raw) {
		c.RunID, _ = strconv.Atoi(string(run.raw)) // it is a number
	} else {
		return malformed("%s is %s and not the number of a run", memberRunID, brief(string(run.raw)))
	}
	for _, m := range []struct {
		name string
		to   *string
	}{{memberTaskID, &c.TaskID}, {memberWorkerGroup, &c.WorkerGroup}, {memberWorkerID, &c.WorkerID}} {
		v := root.get(m.name)
		if !v.isString() || !isPrintable(v.text()) {
			return malformed("%s is not a string of printable characters", m.name)
		}
		*m.to = v.text()
	}
	if !slug().MatchString(c.TaskID) {
		return malformed("%s is %q, which is not a task id", memberTaskID, brief(c.TaskID))
	}
	return nil
}

// isPrintable tells whether a name is what it looks like.
func isPrintable(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0
}

// The members a task definition has in every certificate of version 1. The pool
// was named by workerType alone before taskQueueId came.
const (
	taskDependencies  = "dependencies"
	taskPayload       = "payload"
	taskScopes        = "scopes"
	taskTaskGroupID   = "taskGroupId"
	taskWorkerType    = "workerType"
	taskProvisionerID = "provisionerId"
	taskTaskQueueID   = "taskQueueId"
)

func (c *Certificate) task(root *value) error {
	definition := root.get(memberTask)
	names := []string{taskTaskGroupID, taskWorkerType, taskProvisionerID, taskTaskQueueID}
	required := []string{taskDependencies, taskPayload, taskScopes, taskTaskGroupID}
	if err := spelling(definition, append(names, required...), required); err != nil {
		return fmt.Errorf("%s: %w", memberTask, err)
	}
	for _, name := range names {
		if v := definition.get(name); v != nil && !v.isString() {
			return malformed("%s: %s is not a string", memberTask, name)
		}
	}
	switch {
	case definition.get(taskWorkerType) == nil && definition.get(taskTaskQueueID) == nil:
		return malformed("%s has neither %s nor %s", memberTask, taskWorkerType, taskTaskQueueID)
	case !definition.get(taskPayload).isObject():
		return malformed("%s: %s is not an object", memberTask, taskPayload)
	}
	for _, name := range []string{taskDependencies, taskScopes} {
		if err := distinct(definition.get(name)); err != nil {
			return fmt.Errorf("%s: %s %w", memberTask, name, err)
		}
	}
	c.Task = bytes.Clone(definition.raw)
	return nil
}

// distinct refuses what is not a list of different strings.
func distinct(list *value) error {
	if !list.isList() {
		return malformed("is not a list")
	}
	seen := make(map[string]bool, len(list.items))
	for _, item := range list.items {
		if !item.isString() {
			return malformed("has something that is not a string")
		}
		quoted := string(appendQuoted(nil, item.raw))
		if seen[quoted] {
			return malformed("has %s twice", brief(quoted))
		}
		seen[quoted] = true
	}
	return nil
}

// digits is the length of hashes in hex. Those of weak algorithms may stand
// beside one that is not.
var digits = map[string]int{"md5": 32, "sha1": 40, "sha224": 56, SHA256: 64, "sha384": 96, "sha512": 128}

// Strong tells whether a hash of this algorithm binds content.
func Strong(algorithm string) bool {
	return slices.Contains([]string{SHA256, "sha384", "sha512"}, algorithm)
}

func (c *Certificate) artifacts(root *value) error {
	all := root.get(memberArtifacts)
	if !all.isObject() {
		return malformed("%s is not an object", memberArtifacts)
	}
	c.Artifacts = make(map[string]map[string]string, len(all.members))
	for _, m := range all.members {
		if !isPrintable(m.name) {
			return malformed("%s: the name %s has characters that cannot be printed", memberArtifacts, brief(m.quoted))
		}
		sums, err := hashes(m.value)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", memberArtifacts, brief(m.quoted), err)
		}
		c.Artifacts[m.name] = sums
	}
	return nil
}

// hashes reads the hashes of one artifact.
func hashes(v *value) (map[string]string, error) {
	if !v.isObject() || len(v.members) == 0 {
		return nil, malformed("it has no hash")
	}
	sums, bound := make(map[string]string, len(v.members)), false
	for _, m := range v.members {
		length, known := digits[m.name]
		if !known {
			return nil, malformed("the algorithm %s is not known", brief(m.quoted))
		}
		if !m.value.isString() || !isHex(m.value.text(), length) {
			return nil, malformed("%s is not %d digits in lower-case hex", m.name, length)
		}
		sums[m.name] = m.value.text()
		bound = bound || Strong(m.name)
	}
	if !bound {
		return nil, malformed("it has no hash of a strong algorithm such as %s", SHA256)
	}
	return sums, nil
}

func isHex(text string, length int) bool {
	return len(text) == length && strings.Trim(text, "0123456789abcdef") == ""
}

func (c *Certificate) environment(root *value) error {
	all := root.get(memberEnvironment)
	if !all.isObject() {
		return malformed("%s is not an object", memberEnvironment)
	}
	c.Environment = make(map[string]json.RawMessage, len(all.members))
	for _, m := range all.members {
		if !isPrintable(m.name) {
			return malformed("%s: the name %s has characters that cannot be printed", memberEnvironment, brief(m.quoted))
		}
		c.Environment[m.name] = bytes.Clone(m.value.raw)
	}
	return nil
}

func (c *Certificate) otherArtifacts(root *value) error {
	all := root.get(memberOtherArtifacts)
	if all == nil {
		return nil
	}
	if !all.isObject() {
		return malformed("%s is not an object", memberOtherArtifacts)
	}
	c.OtherArtifacts = make(map[string]string, len(all.members))
	for _, m := range all.members {
		if !isPrintable(m.name) || !m.value.isString() || !isPrintable(m.value.text()) {
			return malformed("%s: %s must be a name with a kind", memberOtherArtifacts, brief(m.quoted))
		}
		if _, both := c.Artifacts[m.name]; both {
			return malformed("%s: %s is among those with data, too", memberOtherArtifacts, brief(m.quoted))
		}
		c.OtherArtifacts[m.name] = m.value.text()
	}
	return nil
}
