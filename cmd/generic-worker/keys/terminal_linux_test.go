package keys

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
)

// openTerminal returns both ends of a terminal: the person's and the program's.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// prompted is closed when the value is asked for.
type prompted struct {
	bytes.Buffer
	asked chan struct{}
}

func (p *prompted) Write(text []byte) (int, error) {
	if bytes.Contains(text, []byte("Value of")) {
		close(p.asked)
	}
	return p.Buffer.Write(text)
}

// TestValueFromATerminal: what is typed is not shown.
func TestValueFromATerminal(t *testing.T) {
	t.Parallel()
	private, public := pair(t)
	person, program := openTerminal(t)
	var out bytes.Buffer
	said := &prompted{asked: make(chan struct{})}
	c := EncryptEnv()
	c.SetArgs([]string{"--public-key", public, "--task-id", taskID, "--name", "TOKEN"})
	c.SetIn(program)
	c.SetOut(&out)
	c.SetErr(said)
	done := make(chan error, 1)
	go func() { done <- c.ExecuteContext(t.Context()) }()
	await(t, said.asked)
	silent(t, program)
	if _, err := person.WriteString("typed value\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the line was not read")
	}
	if got := opened(t, private, out.String()).Value; got != "typed value" {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(said.String(), "Value of TOKEN (it is not shown): \n") || !echoes(t, program) {
		t.Errorf("said %q, echo is %v", said, echoes(t, program))
	}
	fmt.Fprintln(program, "the end")
	shown := bufio.NewReader(person)
	for {
		line, err := shown.ReadString('\n')
		if err != nil || strings.Contains(line, "typed") {
			t.Errorf("the terminal shows %q, %v", line, err)
		}
		if err != nil || strings.Contains(line, "the end") {
			return
		}
	}
}

// TestInterruptedTerminal is as it was before.
func TestInterruptedTerminal(t *testing.T) {
	t.Parallel()
	_, public := pair(t)
	person, program := openTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	said := &prompted{asked: make(chan struct{})}
	e := &encryptEnv{keyFile: public, taskID: taskID, name: "TOKEN", valid: time.Hour, in: program, prompt: said}
	done := make(chan error, 1)
	go func() {
		_, err := e.run(ctx, time.Now())
		done <- err
	}()
	await(t, said.asked)
	silent(t, program)
	interrupt()
	select {
	case err := <-done:
		coded, ok := err.(*exit.Error)
		if !ok || coded.Code != exit.Interrupted {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("an interrupt is not noticed")
	}
	if !echoes(t, program) || !term.IsTerminal(int(program.Fd())) {
		t.Error("the terminal stays silent")
	}
	person.WriteString("\n") // lets the reader go
}

func await(t *testing.T, asked <-chan struct{}) {
	t.Helper()
	select {
	case <-asked:
	case <-time.After(20 * time.Second):
		t.Fatal("the value is not asked for")
	}
}

// silent waits until the terminal shows nothing of what is typed.
func silent(t *testing.T, terminal *os.File) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(20 * time.Second); echoes(t, terminal); {
		if time.Now().After(end) {
			t.Fatal("the terminal shows what is typed")
		}
		<-ticker.C // nothing tells when it changes
	}
}
