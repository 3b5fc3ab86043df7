package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/features/encryptedenv"
	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/mask"
)

// encryptEnv is `generic-worker encrypt-env`.
type encryptEnv struct {
	keyFile   string
	taskID    string
	name      string
	valueFile string
	exact     bool
	valid     time.Duration
	start     string

	in     io.Reader
	prompt io.Writer // for a person, never for programs
}

// EncryptEnv is the command that encrypts a variable for a task.
func EncryptEnv() *cobra.Command {
	e := &encryptEnv{}
	c := &cobra.Command{
		Use:   "encrypt-env --public-key FILE --task-id ID --name NAME",
		Short: "Encrypt a variable for one task, and print the item for encryptedEnv",
		Long: "Encrypt a variable for one task to the key of a worker pool, and print it as one line of base64: an item for\n" +
			"encryptedEnv in the task's payload. Only a worker with the private key can read it, and uses it only for the\n" +
			"task with that id, and only if the task is started in the time for which the variable is valid.\n\n" +
			"The value comes from --value-file, or from standard input, which is asked for on a terminal without showing\n" +
			"it. It never stands on the command line, which other users of the machine can see. One line break at its end\n" +
			"is not part of it, unless --exact is given. It must be UTF-8 without NUL characters.",
		Example: "  task=$(generic-worker task new-id)\n" +
			"  generic-worker encrypt-env --public-key pool.pub --task-id $task --name TOKEN --value-file token.txt",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			e.in, e.prompt = c.InOrStdin(), c.ErrOrStderr()
			item, err := e.run(c.Context(), time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), item)
			return err
		},
	}
	c.Flags().StringVar(&e.keyFile, "public-key", "", "file with the public key of the pool, as new-openpgp-keypair or gpg --export writes it")
	c.Flags().StringVar(&e.taskID, "task-id", "", "id of the only task that may have the variable")
	c.Flags().StringVar(&e.name, "name", "", "name of the variable")
	c.Flags().StringVar(&e.valueFile, "value-file", "", "file with the value (default: standard input)")
	c.Flags().BoolVar(&e.exact, "exact", false, "keep a line break at the end of the value")
	c.Flags().DurationVar(&e.valid, "valid", 24*time.Hour, "time from the start in which the task must be started, at most 744h")
	c.Flags().StringVar(&e.start, "start", "", "moment from which on the variable is valid, such as 2031-01-31T12:00:00Z (default: now; up to five minutes earlier, for clocks that differ)")
	return c
}

// taskIDForm is what the queue takes for the id of a task.
var taskIDForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$`)
})

// run returns the item. Nothing is asked for, and no value is read, before all
// else is known to be right.
func (e *encryptEnv) run(ctx context.Context, now time.Time) (string, error) {
	if err := e.check(); err != nil {
		return "", err
	}
	start, end, err := e.window(now)
	if err != nil {
		return "", err
	}
	key, err := e.key()
	if err != nil {
		return "", exit.Errorf(exit.Usage, "cannot use the public key %s: %w", e.keyFile, err)
	}
	value, err := e.value(ctx)
	if _, coded := errors.AsType[*exit.Error](err); coded {
		return "", err
	}
	if err != nil {
		return "", exit.Errorf(exit.Usage, "cannot read the value: %w", err)
	}
	if len(value) < mask.MinLength {
		fmt.Fprintf(e.prompt, "generic-worker: the value has fewer than %d bytes, so it is not masked in logs\n", mask.MinLength)
	}
	item, err := encryptedenv.Seal(key, encryptedenv.Message{
		TaskID: e.taskID, Start: start, End: end, Name: e.name, Value: mask.Secret(value),
	})
	if err != nil {
		return "", exit.Errorf(exit.Usage, "%w", err)
	}
	return item, nil
}

func (e *encryptEnv) check() error {
	switch {
	case e.keyFile == "":
		return exit.Errorf(exit.Usage, "whose variable is it? give --public-key FILE, the public key of the pool")
	case e.taskID == "":
		return exit.Errorf(exit.Usage, "for which task? give --task-id ID; generic-worker task new-id makes one for a task that is yet to be created")
	case !taskIDForm().MatchString(e.taskID):
		return exit.Errorf(exit.Usage, "--task-id %q is no id of a task; generic-worker task new-id makes one", e.taskID)
	}
	if err := encryptedenv.CheckName(e.name); err != nil {
		return exit.Errorf(exit.Usage, "--name %q is not possible: it %w", e.name, err)
	}
	return nil
}

// tolerance is how much earlier a variable is valid than it was made, because
// the clock of the queue may be behind.
const tolerance = 5 * time.Minute

func (e *encryptEnv) window(now time.Time) (start, end float64, err error) {
	from := now
	begin := now.Add(-tolerance)
	if e.start != "" {
		if from, err = time.Parse(time.RFC3339, e.start); err != nil {
			return 0, 0, exit.Errorf(exit.Usage, "--start %q is not a date and time with a time zone; write for example 2031-01-31T12:00:00Z", e.start)
		}
		begin = from
	}
	until := from.Add(e.valid)
	switch {
	case e.valid <= 0 || e.valid > longestValid:
		return 0, 0, exit.Errorf(exit.Usage, "--valid %v is not possible; write a time of at most %v, such as 24h", e.valid, longestValid)
	case until.Before(now):
		return 0, 0, exit.Errorf(exit.Usage, "the variable would not be valid any more; give a later --start, or a longer time with --valid")
	}
	if shortest := until.Add(-longestValid); begin.Before(shortest) {
		begin = shortest
	}
	return float64(begin.UnixMilli()), float64(until.UnixMilli()), nil
}

// longestValid is the longest time for which workers take a variable.
const longestValid = 31 * 24 * time.Hour

func (e *encryptEnv) key() (*gpg.Key, error) {
	data, err := readAll(e.keyFile)
	if err != nil {
		return nil, err
	}
	ring, err := gpg.Read(data)
	if err != nil {
		return nil, err
	}
	keys := ring.Keys()
	if len(keys) != 1 {
		return nil, fmt.Errorf("there are %d keys in it; export the one of the pool alone", len(keys))
	}
	return keys[0], nil
}

// largest bounds what is read of keys and values; no item has room for more.
const largest = 256 << 10

func readAll(path string) ([]byte, error) { return readUpTo(path, largest) }

func readUpTo(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readBounded(file, limit)
}

func readBounded(in io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("there are more than %d KiB", limit>>10)
	}
	return data, err
}

// value reads the value of the variable.
func (e *encryptEnv) value(ctx context.Context) ([]byte, error) {
	data, err := e.input(ctx)
	if err != nil {
		return nil, err
	}
	if e.exact {
		return data, nil
	}
	if line, ended := bytes.CutSuffix(data, []byte("\n")); ended {
		return bytes.TrimSuffix(line, []byte("\r")), nil
	}
	return data, nil
}

func (e *encryptEnv) input(ctx context.Context) ([]byte, error) {
	if e.valueFile != "" {
		return readAll(e.valueFile)
	}
	file, ok := e.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return readBounded(e.in, largest)
	}
	fmt.Fprintf(e.prompt, "Value of %s (it is not shown): ", e.name)
	defer fmt.Fprintln(e.prompt)
	return hidden(ctx, file)
}
