package chain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/child"
	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/policy"
	"github.com/taskcluster/generic-worker/cot/template"
	"github.com/taskcluster/generic-worker/cot/template/render"
	"github.com/taskcluster/generic-worker/internal/document"
	"github.com/taskcluster/generic-worker/internal/mask"
	"github.com/taskcluster/generic-worker/internal/queue"
	"github.com/taskcluster/generic-worker/internal/source"
	"github.com/taskcluster/generic-worker/internal/source/offline"
	"github.com/taskcluster/generic-worker/internal/taskfile"
)

// Address returns the queue of a worker's configuration and the credentials for
// it, or, without a file, those in the environment. Its errors carry the exit code.
type Address func(configFile string) (rootURL string, credentials queue.Credentials, err error)

// request is what both commands are asked.
type request struct {
	taskID    string
	taskType  string
	policy    string // file
	worker    string // configuration file, for its queue
	unchecked bool   // the task itself needs no certificate
	limit     time.Duration
	address   Address
}

func (r *request) flags(c *cobra.Command) {
	c.Flags().StringVar(&r.taskType, "task-type", "", "what the policy's taskTypes call the task, such as signing")
	c.Flags().StringVar(&r.policy, "config", "chain-policy.yml", "policy: what is trusted, YAML or JSON")
	c.Flags().StringVar(&r.worker, "worker-config", "", "worker configuration whose queue and credentials to use (default: rootURL of the policy or TASKCLUSTER_ROOT_URL)")
	c.Flags().BoolVar(&r.unchecked, "no-check-task", false, "verify what the task is made from and not what it made: for a task that is not over")
	c.Flags().DurationVar(&r.limit, "time-limit", time.Hour, "time after which what was not answered stays undecided")
}

// context ends with an interrupt, or when the time is over.
func (r *request) context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeoutCause(ctx, r.limit, fmt.Errorf("the time limit of %v was over; --time-limit gives more", r.limit))
	return ctx, func() { cancel(); stop() }
}

// read checks the command line and reads the policy.
func (r *request) read(ctx context.Context, args []string) (*policy.Deployment, error) {
	r.taskID = args[0]
	if err := taskfile.CheckID(r.taskID); err != nil {
		return nil, exit.Errorf(exit.Usage, "%w", err)
	}
	if r.taskType == "" {
		return nil, exit.Errorf(exit.Usage, "what kind of task is it? give --task-type, one of the policy's taskTypes")
	}
	d, err := policy.Load(ctx, r.policy)
	if _, invalid := errors.AsType[document.Problems](err); invalid {
		return nil, exit.Errorf(exit.InvalidConfig, "the policy cannot be used:\n%w", err)
	}
	if err != nil {
		return nil, exit.Errorf(exit.Usage, "%w; give one with --config", err)
	}
	return d, nil
}

// online are the answers of the deployment and of its servers of repositories.
func (r *request) online(d *policy.Deployment) (offline.Answers, error) {
	rootURL, credentials, err := r.queue(d)
	if err != nil {
		return offline.Answers{}, err
	}
	q := &source.Queue{RootURL: rootURL, Storage: d.Storage, Limits: queue.Limits{Elapsed: longestWait}}
	if credentials.ClientID != "" {
		q.Credentials = func() queue.Credentials { return credentials }
	}
	if d.Repositories != "" {
		local := offline.Directory{Path: d.Repositories, Hosts: d.Kinds()}
		return offline.Answers{Source: q, Forge: local, Landed: local.Landed}, nil
	}
	forge := &source.Forge{Servers: map[string]source.Server{}, Redirects: d.Redirects}
	for host, s := range d.Servers {
		server := source.Server{Kind: s.Kind, Web: s.Web, API: s.API, Raw: s.Raw}
		if s.TokenVariable != "" {
			server.Token = mask.Secret(os.Getenv(s.TokenVariable))
		}
		forge.Servers[host] = server
	}
	return offline.Answers{Source: q, Forge: forge, Landed: forge.Landed}, nil
}

// longestWait bounds how long a person waits for a queue that does not answer.
const longestWait = 30 * time.Second

// queue returns whom to ask for tasks. Credentials of the environment do not
// go to another deployment than the environment names, if it names one.
func (r *request) queue(d *policy.Deployment) (string, queue.Credentials, error) {
	if r.worker != "" || d.RootURL == "" {
		return r.address(r.worker)
	}
	named := tcclient.RootURLFromEnvVars()
	if named != "" && strings.TrimRight(named, "/") != strings.TrimRight(d.RootURL, "/") {
		return d.RootURL, queue.Credentials{}, nil
	}
	given := tcclient.CredentialsFromEnvVars()
	return d.RootURL, queue.Credentials{
		ClientID: given.ClientID, AccessToken: mask.Secret(given.AccessToken), Certificate: mask.Secret(given.Certificate),
	}, nil
}

// verify answers all rules, with the artifacts in dir.
func (r *request) verify(ctx context.Context, d *policy.Deployment, from offline.Answers, dir string) (*report.Report, error) {
	renderer, err := child.Render(render.Limits{})
	if err != nil {
		return nil, exit.Errorf(exit.ChainFault, "%w", err)
	}
	return chain.Verify(ctx, chain.Request{
		TaskID: r.taskID, TaskType: r.taskType, CheckTask: !r.unchecked,
		Policy: d.Policy, Source: from.Source, Landed: from.Landed, Dir: dir,
		Templates: &template.Checker{
			Forge: from.Forge, Renderer: renderer, Hosts: d.Kinds(), Projects: d.Projects,
			CommentVariable: d.CommentVariable, Programs: d.Programs,
		},
	}), nil
}

// scratch makes a directory for artifacts, in parent or where temporary files
// are.
func scratch(parent string) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(parent, ".chain-of-trust-*")
	if err != nil {
		return "", nil, exit.Errorf(exit.ChainFault, "cannot make a directory for artifacts: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil // nothing in it is wanted, and it is private
}

// ruleVerifier is the id of what is answered only when the verifier is at fault.
const ruleVerifier = "verifier"

// verdictExit is the exit code of a report that was shown.
func verdictExit(ctx context.Context, result *report.Report) error {
	code := exit.ChainUndecided
	switch {
	case result.Verdict == report.Verified:
		return nil
	case result.Verdict == report.Refused:
		code = exit.NotVerified
	case ctx.Err() == nil && isFault(result):
		code = exit.ChainFault
	}
	return &exit.Error{Code: code, Err: exit.ErrSilent}
}

// isFault tells whether a chain is undecided because of this program or this
// machine.
func isFault(result *report.Report) bool {
	if result.Reason != "" {
		return true
	}
	isFault := func(rule report.Rule) bool { return rule.ID == ruleVerifier }
	return slices.ContainsFunc(result.Links, func(l report.Link) bool { return slices.ContainsFunc(l.Rules, isFault) })
}
