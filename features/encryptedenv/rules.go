package encryptedenv

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/taskcluster/generic-worker/internal/task"
	"github.com/taskcluster/generic-worker/payload"
)

// longestWindow is more than any task waits for its start.
const longestWindow = 31 * 24 * time.Hour

// rules are what a message must fulfil to be one for this run.
type rules struct {
	taskID string
	now    time.Time
	env    map[string]string // of the payload, and what other features set
	key    func(name string) string
	taken  map[string]int // keys of the names so far, to the index of their item
}

func newRules(run *task.Run, now time.Time, key func(string) string) *rules {
	r := &rules{taskID: run.TaskID, now: now, env: map[string]string{}, key: key, taken: map[string]int{}}
	for name := range run.Payload.Env {
		r.env[key(name)] = "the payload's env"
	}
	for name := range run.Environ() {
		r.env[key(name)] = "the worker"
	}
	return r
}

// check tells whether the message of item i is for this run. The task comes
// first: about a message for another one nothing else is told.
func (r *rules) check(i int, m Message) error {
	if m.TaskID != r.taskID {
		return errors.New("is for another task; encrypt the variable anew for this one")
	}
	if err := m.checkWindow(); err != nil {
		return err
	}
	if err := r.checkNow(m); err != nil {
		return err
	}
	if err := m.checkName(r.key); err != nil {
		return err
	}
	name := strconv.QuoteToGraphic(m.Name)
	if owner, taken := r.env[r.key(m.Name)]; taken {
		return fmt.Errorf("is the variable %s, which %s sets, too; remove one of the two", name, owner)
	}
	if first, taken := r.taken[r.key(m.Name)]; taken {
		return fmt.Errorf("is the variable %s, as is encryptedEnv[%d]; remove one of the two", name, first)
	}
	r.taken[r.key(m.Name)] = i
	return m.checkValue()
}

func (r *rules) checkNow(m Message) error {
	now := float64(r.now.UnixMilli())
	switch {
	case now < m.Start:
		return fmt.Errorf("is not valid before %s, and it is %s; begin the time of the variable earlier", moment(m.Start), moment(now))
	case now > m.End:
		return fmt.Errorf("was valid until %s, and it is %s; encrypt the variable anew, with time for the task to wait for its start", moment(m.End), moment(now))
	}
	return nil
}

func (m Message) checkWindow() error {
	switch {
	case m.End < m.Start:
		return errors.New("has an endTime before its startTime; exchange them")
	case m.End-m.Start > float64(longestWindow.Milliseconds()):
		return fmt.Errorf("is valid for more than %d days; no task waits that long: bring startTime and endTime closer together", int(longestWindow.Hours()/24))
	}
	return nil
}

// CheckName tells whether a variable may have the name, by the rules of the
// platform this runs on.
func CheckName(name string) error { return Message{Name: name}.checkName(variableKey) }

func (m Message) checkName(key func(string) string) error {
	shown := strconv.QuoteToGraphic(m.Name)
	switch {
	case m.Name == "":
		return errors.New("is a variable without a name; name it")
	case strings.Contains(m.Name, "="):
		return errors.New("has = in the name of its variable; remove it from the name")
	case strings.ContainsFunc(m.Name, unicode.IsControl):
		return errors.New("has a control character in the name of its variable; remove it from the name")
	case !utf8.ValidString(m.Name):
		return errors.New("has a name that is not UTF-8; write it in UTF-8")
	case ofWorker(key(m.Name)):
		return fmt.Errorf("is the variable %s, which is the worker's own; give it another name", shown)
	case ofSystem(key(m.Name)):
		return fmt.Errorf("is the variable %s, by which the system finds programs and libraries, and which is no secret; set it in env", shown)
	}
	return nil
}

func (m Message) checkValue() error {
	switch {
	case strings.Contains(string(m.Value), "\x00"):
		return errors.New("has a NUL character in its value, which no variable can hold; encode the value, for example in base64")
	case !utf8.ValidString(string(m.Value)):
		return errors.New("has a value that is not UTF-8; encode the value, for example in base64")
	case !payload.Fits(m.Name, string(m.Value)):
		return errors.New("has a value that is too long for a variable; put what is large into a file")
	}
	return nil
}

// ofWorker tells whether the worker or one of its features sets the variable,
// or could: the task would get another value than the author thinks.
func ofWorker(key string) bool {
	switch key {
	case "TASK_ID", "RUN_ID", "TASK_GROUP_ID", "TASK_WORKDIR", "PWD":
		return true
	}
	return strings.HasPrefix(key, "TASKCLUSTER_") || strings.HasPrefix(key, "GENERIC_WORKER_")
}

// ofSystem tells whether the variable decides which code runs. Such a variable
// is to be seen in the task.
func ofSystem(key string) bool {
	switch key {
	case "PATH", "PATHEXT", "COMSPEC", "SYSTEMROOT":
		return true
	}
	return strings.HasPrefix(key, "LD_") || strings.HasPrefix(key, "DYLD_")
}
