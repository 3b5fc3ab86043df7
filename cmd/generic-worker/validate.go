package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/policy"
	"github.com/taskcluster/generic-worker/internal/config"
	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/internal/taskfile"
	"github.com/taskcluster/generic-worker/payload"
)

// Kinds of files that can be validated.
const (
	kindTask    = "task"
	kindPayload = "payload"
	kindConfig  = "config"
	kindPolicy  = "policy"
)

// validation is what is to be said about one file.
type validation struct {
	File        string       `json:"file"`
	Kind        string       `json:"kind"`
	Valid       bool         `json:"valid"`
	Problems    []problemRow `json:"problems"`
	Warnings    []string     `json:"warnings,omitempty"`
	Ineffective []string     `json:"ineffective,omitempty"`

	code int // to exit with
	text document.Problems
}

type problemRow struct {
	Source  string `json:"source"` // the file or the environment variable
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Pointer string `json:"pointer"`
	What    string `json:"what"`
	Remedy  string `json:"remedy,omitempty"`
}

func validateCommand() *cobra.Command {
	var kind string
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Find everything that is wrong with tasks, payloads, configurations or policies",
		Long: "Find everything that is wrong with files (YAML or JSON, - for standard input).\n" +
			"A file with a payload in it is a task, one with a command or an image is a payload, one with a profile is the policy of a chain\n" +
			"of trust, and any other is a configuration, which is read together with the environment. The exit code is that of\n" +
			"the first file with a problem: 10 for a task or payload; 64 for a configuration, or a file, that cannot be read; 73\n" +
			"for a policy, and for a configuration with values that are not valid.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			switch kind {
			case "", kindTask, kindPayload, kindConfig, kindPolicy:
			default:
				return exit.Errorf(exit.Usage, "--as %s is not possible; write task, payload, config or policy", kind)
			}
			results := make([]validation, len(files))
			for i, file := range files {
				results[i] = validate(c.Context(), file, kind)
			}
			return showValidations(c.OutOrStdout(), results, asJSON)
		},
	}
	c.Flags().StringVar(&kind, "as", "", "what the files are: task, payload, config or policy (default: by their content)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func validate(ctx context.Context, file, kind string) validation {
	v := validation{File: file, Kind: kind}
	err := v.check(ctx)
	if problems, ok := errors.AsType[document.Problems](err); ok {
		v.text = problems
	} else if err != nil {
		v.code, v.text = exit.Usage, document.Problems{{Name: file, What: withoutPath(err).Error()}}
	}
	v.Valid = len(v.text) == 0
	v.Problems = make([]problemRow, len(v.text))
	for i, p := range v.text {
		v.Problems[i] = problemRow{Source: p.Name, Line: p.Line, Column: p.Column, Pointer: p.Pointer, What: p.What, Remedy: p.Remedy}
	}
	return v
}

// withoutPath drops the path from an error of package os: it is shown already.
func withoutPath(err error) error {
	if with, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("cannot be read: %w", with.Err)
	}
	return err
}

// check returns document.Problems for what is wrong with the file's content, and
// notes the exit code for them.
func (v *validation) check(ctx context.Context) error {
	if v.Kind == kindConfig {
		return v.checkConfig()
	}
	data, err := taskfile.Read(v.File)
	if err != nil {
		return err
	}
	doc, err := document.Parse(v.File, data)
	v.code = exit.Malformed
	if err != nil {
		if v.Kind == "" {
			v.code = exit.Usage // of what it could be, a configuration
		}
		return err
	}
	if v.Kind == "" {
		v.Kind = kindOf(doc.Value())
	}
	switch v.Kind {
	case kindTask:
		return taskfile.Check(doc)
	case kindPayload:
		_, err := payload.ParseDocument(doc)
		return err
	case kindPolicy:
		v.code = exit.InvalidConfig
		_, err := policy.Read(ctx, doc, filepath.Dir(v.File))
		return err
	}
	return v.checkConfig()
}

// kindOf tells by its content what a file is.
func kindOf(content any) string {
	members, _ := content.(map[string]any)
	if _, ok := members["payload"]; ok {
		return kindTask
	}
	for _, key := range []string{"command", "image"} {
		if _, ok := members[key]; ok {
			return kindPayload
		}
	}
	if _, ok := members["profile"]; ok {
		return kindPolicy
	}
	return kindConfig
}

func (v *validation) checkConfig() error {
	if v.File == "-" {
		return errors.New("a configuration is checked together with who can read it, so it cannot come from standard input; give its path")
	}
	cfg, err := config.Load(v.File, os.Environ())
	if fault, ok := errors.AsType[*config.Error](err); ok {
		v.code = faultExit(fault.Fault)
		return fault.Problems
	}
	if err != nil {
		return err
	}
	v.Warnings, v.Ineffective = cfg.Warnings, cfg.Ineffective
	return nil
}

// faultExit is the exit code for a configuration that cannot be used.
func faultExit(fault config.Fault) int {
	switch fault {
	case config.Invalid:
		return exit.InvalidConfig
	case config.Exposed:
		return exit.ConfigExposed
	}
	return exit.Usage
}

// configExit gives an error of config.Load its exit code.
func configExit(err error) error {
	fault, ok := errors.AsType[*config.Error](err)
	if !ok {
		return exit.Errorf(exit.Usage, "cannot read the configuration: %w", err)
	}
	return exit.Errorf(faultExit(fault.Fault), "the configuration cannot be used:\n%w", err)
}

// showValidations prints what was found, and returns the exit code as an error.
func showValidations(out io.Writer, results []validation, asJSON bool) error {
	code := exit.Done
	for _, v := range results {
		if !v.Valid && code == exit.Done {
			code = v.code
		}
	}
	if asJSON {
		if err := writeJSON(out, results); err != nil {
			return err
		}
	} else {
		for _, v := range results {
			v.print(out)
		}
	}
	if code == exit.Done {
		return nil
	}
	return &exit.Error{Code: code, Err: exit.ErrSilent}
}

func (v validation) print(out io.Writer) {
	for _, problem := range v.text {
		fmt.Fprintln(out, problem)
	}
	for _, warning := range v.Warnings {
		fmt.Fprintln(out, "warning:", warning)
	}
	for _, key := range v.Ineffective {
		fmt.Fprintf(out, "warning: %s: /%s has no effect in this version\n", v.File, key)
	}
	if v.Valid {
		fmt.Fprintf(out, "%s: valid (%s)\n", v.File, v.Kind)
	}
}
