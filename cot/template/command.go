package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// CheckCommand is the rule that profile gpg has for commands of decision
// tasks. The command begins with one of programs; then come only --, bash, /bin/bash,
// -cx and --vcs-checkout=…; then one text for the shell, in which cd and ln, joined
// with &&, prepare for ./mach taskgraph decision, which may have options.
//
// The text is read as the shell reads it: each word must be plain or quoted, with
// nothing in it that starts a command of its own; variables are in double
// quotes; cd has one argument, and ln two after its options. With compat it is read as the Python verifier reads it,
// which looks at neither what comes after cd and ln nor at options.
func CheckCommand(command, programs []string, compat bool) error {
	if len(command) < 2 {
		return errors.New("has fewer than two words")
	}
	last := len(command) - 1
	if !slices.Contains(programs, command[0]) {
		return fmt.Errorf("begins with %s, which is none of the programs %s", quote(command[0]), strings.Join(programs, ", "))
	}
	for _, word := range command[1:last] {
		if !slices.Contains([]string{"--", "bash", "/bin/bash", "-cx"}, word) && !strings.HasPrefix(word, "--vcs-checkout=") {
			return fmt.Errorf("has the word %s before the text for the shell", quote(word))
		}
	}
	if compat {
		return looseScript(command[last])
	}
	// Without these two, the program runs the text itself, or another one.
	if last < 3 || command[last-1] != "-cx" || !strings.HasSuffix(command[last-2], "bash") {
		return errors.New("does not end with bash, -cx and a text for the shell")
	}
	return strictScript(command[last])
}

var decisionWords = []string{"./mach", "taskgraph", "decision"}

// looseScript is the Python verifier's view of the script.
func looseScript(script string) error {
	found := false
	for _, part := range strings.Split(script, "&&") {
		words := strings.Fields(part)
		if len(words) > 0 && (words[0] == "cd" || words[0] == "ln") {
			continue
		}
		words = slices.DeleteFunc(words, func(word string) bool { return strings.HasPrefix(word, "--") })
		if !slices.Equal(words, decisionWords) {
			return fmt.Errorf("runs %s in the shell", quote(strings.Join(words, " ")))
		}
		found = true
	}
	if !found {
		return errors.New("does not run ./mach taskgraph decision")
	}
	return nil
}

// strictScript reads the script as the shell does.
func strictScript(script string) error {
	commands, err := shellCommands(script)
	if err != nil {
		return err
	}
	for i, words := range commands {
		if i == len(commands)-1 {
			break
		}
		isOption := func(word string) bool { return strings.HasPrefix(word, "-") }
		switch arguments := slices.DeleteFunc(slices.Clone(words[1:]), isOption); {
		case words[0] == "cd" && len(words) == 2 && len(arguments) == 1:
		case words[0] == "ln" && len(arguments) == 2:
		default:
			return fmt.Errorf("runs %s in the shell", quote(strings.Join(words, " ")))
		}
	}
	words := commands[len(commands)-1]
	plain := slices.DeleteFunc(slices.Clone(words), func(word string) bool { return strings.HasPrefix(word, "--") })
	if !slices.Equal(plain, decisionWords) {
		return fmt.Errorf("ends with %s in the shell, not with ./mach taskgraph decision", quote(strings.Join(words, " ")))
	}
	return nil
}

// shellToken is the beginning of a script: blanks, &&, or a part of a word in
// which no character means anything to the shell but a variable's value.
var shellToken = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:([ \t]+)|(&&)|([A-Za-z0-9_./:=@%+,-]+)|'([^']*)'|"((?:[^"$` + "`" + `\\]|\$[A-Za-z_][A-Za-z0-9_]*)*)")`)
})

// shellCommands splits a script at && into commands of words, without their
// quotes.
func shellCommands(script string) ([][]string, error) {
	rest := strings.Trim(script, " \t\n")
	var commands [][]string
	var words []string
	var word strings.Builder
	inWord := false
	endWord := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for rest != "" {
		m := shellToken().FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("has a text for the shell with more than plain words before %s", quote(rest))
		}
		rest = rest[len(m[0]):]
		switch {
		case m[1] != "":
			endWord()
		case m[2] != "":
			endWord()
			if len(words) == 0 {
				return nil, errors.New("has a text for the shell with && before any command")
			}
			commands, words = append(commands, words), nil
		default:
			word.WriteString(m[3] + m[4] + m[5])
			inWord = true
		}
	}
	if endWord(); len(words) == 0 {
		return nil, errors.New("has a text for the shell that does not end with a command")
	}
	return append(commands, words), nil
}
