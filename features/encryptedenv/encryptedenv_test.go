package encryptedenv

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/internal/task"
)

func TestVariables(t *testing.T) {
	t.Parallel()
	f := newFeature(pool(t))
	long := strings.Repeat("0123456789", 4000)
	for name, row := range map[string]struct {
		change fields
		want   string
	}{
		"usual":                     {nil, hunter},
		"version as programs wrote": {fields{"messageVersion": "1"}, hunter},
		"version as a fraction":     {fields{"messageVersion": json.Number("1.0")}, hunter},
		"times with fractions":      {fields{"startTime": json.Number("1772366399999.5"), "endTime": json.Number("1.7723664000005e12")}, hunter},
		"empty value":               {fields{"value": ""}, ""},
		"value with lines":          {fields{"value": "a\nb\r\n\tc\n"}, "a\nb\r\n\tc\n"},
		"long value":                {fields{"value": long}, long},
		"value beyond the plane":    {fields{"value": "😀"}, "😀"},
		"value with U+FFFD":         {fields{"value": "\ufffd"}, "\ufffd"},
	} {
		if diff := cmp.Diff(map[string]string{"TOKEN": row.want}, accepted(t, f, item(t, row.change))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	escaped := strings.Replace(fields{"value": "V"}.String(), `"V"`, `"\ud83d\ude00\\ud83d\u0041"`, 1)
	if got := accepted(t, f, seal(t, pool(t), escaped))["TOKEN"]; got != `😀\ud83dA` {
		t.Errorf("escapes are %q", got)
	}
	several := accepted(t, f, item(t, nil), item(t, fields{"name": "token"}), item(t, fields{"name": "ÄÖ 1"}))
	if diff := cmp.Diff([]string{"TOKEN", "token", "ÄÖ 1"}, sortedKeys(several)); diff != "" {
		t.Error(diff)
	}
}

func TestTasksWithoutItemsAreLeftAlone(t *testing.T) {
	t.Parallel()
	for _, f := range []*Feature{New(Config{}), newFeature(pool(t))} {
		hooks, err := f.Attach(newRun(t))
		if err != nil || hooks.Prepare != nil || hooks.Finish != nil || hooks.Seal != nil || hooks.Close != nil || f.Name() != "encryptedEnv" {
			t.Errorf("hooks %+v, error %v", hooks, err)
		}
	}
}

// TestRefusals breaks one rule after the other.
func TestRefusals(t *testing.T) {
	t.Parallel()
	f := newFeature(pool(t))
	stranger := newKey(t, nil)
	plain := func(text string) string { return seal(t, pool(t), text) }
	good := item(t, nil)
	for name, row := range map[string]struct {
		items []string
		want  string
	}{
		"other task":       {[]string{item(t, fields{"taskId": another})}, "is for another task"},
		"task as a number": {[]string{item(t, fields{"taskId": 0})}, "has a taskId that is not a string"},
		"version 2":        {[]string{item(t, fields{"messageVersion": 2})}, "has a messageVersion that is not known here; write 1"},
		"version \"2\"":    {[]string{item(t, fields{"messageVersion": "2"})}, "has a messageVersion"},
		"version true":     {[]string{item(t, fields{"messageVersion": true})}, "has a messageVersion"},
		"version 1 and a bit": {
			[]string{item(t, fields{"messageVersion": 1.5})}, "has a messageVersion",
		},
		"expired": {
			[]string{item(t, fields{"endTime": ms(noon()) - 1})},
			"was valid until 2026-03-01T11:59:59.999Z, and it is 2026-03-01T12:00:00.000Z",
		},
		"not yet": {
			[]string{item(t, fields{"startTime": ms(noon()) + 1})},
			"is not valid before 2026-03-01T12:00:00.001Z, and it is 2026-03-01T12:00:00.000Z",
		},
		"backwards":      {[]string{item(t, fields{"startTime": 2, "endTime": 1})}, "has an endTime before its startTime"},
		"for ever":       {[]string{item(t, fields{"endTime": 1e300})}, "is valid for more than 31 days"},
		"infinite":       {[]string{plain(strings.Replace(fields{"endTime": 7}.String(), ":7", ":1e999", 1))}, "has a endTime that is too large a number"},
		"time as text":   {[]string{item(t, fields{"startTime": "1"})}, "has a startTime that is not a number"},
		"no name":        {[]string{item(t, fields{"name": ""})}, "is a variable without a name"},
		"name with =":    {[]string{item(t, fields{"name": "A=B"})}, "has = in the name"},
		"name with NUL":  {[]string{item(t, fields{"name": "A\x00"})}, "has a control character in the name"},
		"name with line": {[]string{item(t, fields{"name": "A\n"})}, "has a control character in the name"},
		"name a number":  {[]string{item(t, fields{"name": 1})}, "has a name that is not a string"},
		"reserved":       {[]string{item(t, fields{"name": "TASK_ID"})}, `is the variable "TASK_ID", which is the worker's own`},
		"for the loader": {[]string{item(t, fields{"name": "LD_PRELOAD"})}, `is the variable "LD_PRELOAD", by which the system finds programs`},
		"in env":         {[]string{item(t, fields{"name": "PLAIN"})}, `is the variable "PLAIN", which the payload's env sets, too`},
		"twice":          {[]string{good, item(t, fields{"name": "OTHER"}), good}, `encryptedEnv[2]: is the variable "TOKEN", as is encryptedEnv[0]`},
		"value a number": {[]string{item(t, fields{"value": 5})}, "has a value that is not a string"},
		"value null":     {[]string{plain(strings.Replace(fields{"value": "V"}.String(), `"V"`, "null", 1))}, "has a value that is not a string"},
		"value with NUL": {[]string{item(t, fields{"value": hunter + "\x00"})}, "has a NUL character in its value"},
		"half a character": {
			[]string{plain(strings.Replace(fields{"value": "V"}.String(), `"V"`, `"\ud83dhunter2"`, 1))}, "has a value that has half of a surrogate pair",
		},
		"half a pair, escaped": {
			[]string{plain(strings.Replace(fields{"value": "V"}.String(), `"V"`, `"\ud83d\u0041"`, 1))}, "has a value that has half of a surrogate pair",
		},
		"no taskId":      {[]string{item(t, fields{"taskId": nil})}, "has no member taskId"},
		"no start":       {[]string{item(t, fields{"startTime": nil})}, "has no member startTime"},
		"no end":         {[]string{item(t, fields{"endTime": nil})}, "has no member endTime"},
		"no version":     {[]string{item(t, fields{"messageVersion": nil})}, "has no member messageVersion"},
		"no name at all": {[]string{item(t, fields{"name": nil})}, "has no member name"},
		"no value":       {[]string{item(t, fields{"value": nil})}, "has no member value"},
		"one more":       {[]string{item(t, fields{hunter: 1})}, "has a member that is none of messageVersion, taskId"},
		"other case":     {[]string{item(t, fields{"taskId": nil, "taskID": taskID})}, "has a member that is none of"},
		"member twice":   {[]string{plain(strings.Replace(fields{}.String(), "{", `{"name":"A",`, 1))}, "has the member name twice"},
		"the same, in JSON": {
			[]string{plain(strings.Replace(fields{}.String(), "{", `{"v\u0061lue":"hunter2",`, 1))}, "has the member value twice",
		},
		"text behind":   {[]string{plain(fields{}.String() + "{}")}, "does not have one JSON object"},
		"no JSON":       {[]string{plain(hunter)}, "does not have one JSON object"},
		"a list":        {[]string{plain("[" + fields{}.String() + "]")}, "does not have one JSON object"},
		"an empty list": {[]string{plain("[]")}, "does not have one JSON object"},
		"a string":      {[]string{plain(`"hunter2"`)}, "does not have one JSON object"},
		"empty":         {[]string{plain("")}, "does not have one JSON object"},
		"not UTF-8":     {[]string{plain(strings.Replace(fields{}.String(), "ä", "\xe4", 1))}, "does not have one JSON object in UTF-8"},
		"byte order mark": {
			[]string{plain("\ufeff" + fields{}.String())}, "does not have one JSON object",
		},
		"other key":     {[]string{seal(t, stranger, fields{}.String())}, "is not encrypted to the key of this pool; encrypt the variable anew to the public key with fingerprint " + pool(t).Fingerprint()},
		"no message":    {[]string{base64.StdEncoding.EncodeToString([]byte(hunter))}, "cannot be decrypted: the message was altered or cut, or is none"},
		"no base64":     {[]string{hunter}, "is not base64"},
		"empty item":    {[]string{" \n"}, "is empty"},
		"second of two": {[]string{good, "?"}, "encryptedEnv[1]: is not base64"},
	} {
		got := refused(t, f, row.items...)
		if !strings.Contains(got, row.want) || !strings.Contains(got, ";") {
			t.Errorf("%s: %q, want %q and a remedy", name, got, row.want)
		}
	}
	both := refused(t, f, "?", item(t, fields{"taskId": another}), good)
	if !strings.HasPrefix(both, "encryptedEnv[0]: is not base64") || !strings.Contains(both, "\nencryptedEnv[1]: is for another task") || strings.Count(both, "\n") != 1 {
		t.Errorf("not all problems are told, or too many: %s", both)
	}
}

func TestNoKey(t *testing.T) {
	t.Parallel()
	got := refused(t, New(Config{}), item(t, nil))
	for _, want := range []string{"encryptedEnv[0]: ", "pool proj/linux has no key", "remove encryptedEnv"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

func TestTooManyItems(t *testing.T) {
	t.Parallel()
	f := newFeature(pool(t))
	var items []string
	for i := range maxItems + 1 {
		items = append(items, item(t, fields{"name": fmt.Sprint("V", i)}))
	}
	if got := len(accepted(t, f, items[:maxItems]...)); got != maxItems {
		t.Errorf("%d variables", got)
	}
	if got := refused(t, f, items...); !strings.HasPrefix(got, "encryptedEnv[100]: is one more than the 100") {
		t.Error(got)
	}
}

func TestAbortEndsPrepare(t *testing.T) {
	t.Parallel()
	enough := task.Errorf(task.WorkerShutdown, "enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	f := newFeature(pool(t))
	run := newRun(t, item(t, nil))
	hooks, err := f.Attach(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := hooks.Prepare(ctx); !errors.Is(err, enough) || len(run.Environ()) > 0 {
		t.Errorf("Prepare returned %v", err)
	}
	f.step = time.Hour
	if err := f.even(ctx, time.Now()); !errors.Is(err, enough) {
		t.Errorf("waiting ended with %v", err)
	}
}

// TestE1ReplayToAnotherTask sends a hundred variables of other tasks.
func TestE1ReplayToAnotherTask(t *testing.T) {
	t.Parallel()
	f := newFeature(pool(t))
	texts := map[string]int{}
	for i := range 100 {
		id := fmt.Sprintf("%s%02d%s", another[:8], i, another[10:])
		got := refused(t, f, item(t, fields{"taskId": id, "name": fmt.Sprint("STOLEN_", i), "startTime": i, "endTime": -i}))
		texts[got]++
		if strings.Contains(got, "STOLEN") || strings.Contains(got, id) {
			t.Errorf("tells about another task's variable: %s", got)
		}
	}
	if len(texts) != 1 {
		t.Errorf("the texts differ: %v", texts)
	}
}

// TestE2ReplayToALaterRun: a task that is retried needs its variables again.
func TestE2ReplayToALaterRun(t *testing.T) {
	t.Parallel()
	f := newFeature(pool(t))
	same := item(t, nil)
	for id := range 3 {
		run := newRun(t, same)
		run.RunID = id
		if err := start(t, f, run); err != nil || run.Environ()["TOKEN"] != hunter {
			t.Errorf("run %d: %v", id, err)
		}
	}
}

// TestE3Window judges the same variable at different times, by a clock that the
// queue's time corrects.
func TestE3Window(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, row := range map[string]struct {
		start, end time.Duration // from noon
		now        time.Duration
		want       string // empty if it is accepted
	}{
		"inside":                     {-time.Hour, time.Hour, 0, ""},
		"the first moment":           {0, time.Hour, 0, ""},
		"just before":                {time.Millisecond, time.Hour, 0, "is not valid before"},
		"the last moment":            {-time.Hour, 0, 0, ""},
		"within the last moment":     {-time.Hour, 0, 999 * time.Microsecond, ""},
		"just after":                 {-time.Hour, -time.Millisecond, 0, "was valid until"},
		"one moment":                 {0, 0, 0, ""},
		"half a minute":              {0, 30 * time.Second, 31 * time.Second, "was valid until"},
		"backwards":                  {time.Hour, -time.Hour, 0, "has an endTime before"},
		"31 days":                    {-15 * day, 16 * day, 0, ""},
		"more than 31 days":          {-15 * day, 16*day + time.Millisecond, 0, "is valid for more than 31 days"},
		"a window of the past":       {-2 * day, -day, 0, "was valid until"},
		"a window of the future":     {day, 2 * day, 0, "is not valid before"},
		"clock five minutes fast":    {-time.Hour, time.Minute, 5 * time.Minute, "was valid until"},
		"clock five minutes slow":    {0, time.Hour, -5 * time.Minute, "is not valid before"},
		"the same, by the queue's":   {0, time.Hour, 0, ""},
		"long before the first date": {-56 * 365 * day, -56 * 365 * day, -56 * 365 * day, ""},
	} {
		f := newFeature(pool(t))
		f.config.Now = func() time.Time { return noon().Add(row.now) }
		one := item(t, fields{"startTime": ms(noon().Add(row.start)), "endTime": ms(noon().Add(row.end))})
		if row.want == "" {
			accepted(t, f, one)
		} else if got := refused(t, f, one); !strings.Contains(got, row.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestE4Altered changes every bit and cuts at every byte. Some bits of a
// message mean nothing, so a few changes are not noticed; none changes what
// the variable is.
func TestE4Altered(t *testing.T) {
	t.Parallel()
	f := newFeature(pool(t))
	message, err := base64.StdEncoding.DecodeString(item(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	try := func(what string, altered []byte) {
		got, err := f.open(base64.StdEncoding.EncodeToString(altered))
		if err == nil {
			same++
			if got.Value != hunter || got.TaskID != taskID || got.Name != "TOKEN" {
				t.Errorf("%s: accepted as another variable", what)
			}
		} else if got != (Message{}) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v, and something is returned", what, err)
		}
	}
	for i := range message {
		for bit := range 8 {
			altered := bytes.Clone(message)
			altered[i] ^= 1 << bit
			try(fmt.Sprintf("byte %d bit %d", i, bit), altered)
		}
	}
	if same > 64 {
		t.Errorf("%d of %d changes went unnoticed", same, 8*len(message))
	}
	same = 0
	for n := range message {
		try(fmt.Sprintf("cut at %d", n), message[:n])
	}
	if same > 0 {
		t.Errorf("%d cut messages were accepted", same)
	}
	trailing := "is a message with trailing data, or more than one"
	for what, altered := range map[string][]byte{
		"a byte behind":  append(bytes.Clone(message), 0),
		"a line behind":  append(bytes.Clone(message), '\n'),
		"the same twice": append(bytes.Clone(message), message...),
	} {
		if got := refused(t, f, base64.StdEncoding.EncodeToString(altered)); !strings.Contains(got, trailing) {
			t.Errorf("%s: %s", what, got)
		}
	}
}

// TestE4Base64 lists what is base64 here and what is not.
func TestE4Base64(t *testing.T) {
	t.Parallel()
	raw := []byte{0xfb, 0xff, 0xbe, 0x01}
	for text, want := range map[string]string{
		"+/++AQ==":             "",
		"+/++AQ":               "",
		"-_--AQ==":             "",
		"-_--AQ":               "",
		"+/++\nAQ==":           "",
		"+/++\r\nAQ==\r\n":     "",
		" +/ ++\tA Q = = ":     "",
		"+/++AQ=":              "is not base64",
		"+/++AQ===":            "is not base64",
		"+/++AR==":             "is not base64", // bits behind the end that are not zero
		"+/++AR":               "is not base64",
		"+/++A":                "is not base64",
		"+/++=AQ":              "is not base64",
		"+/++AQ==+/++":         "is not base64",
		"-/++AQ==":             "of two alphabets",
		"+/++AQ==\x00":         "is not base64",
		"+/++\vAQ==":           "is not base64",
		"+/++\u00a0AQ==":       "is not base64",
		"+/++%41Q==":           "is not base64",
		"data:;base64,+/++AQ=": "is not base64",
		"":                     "is empty",
		"====":                 "is not base64",
		" \n":                  "is empty",
	} {
		got, err := decode(text)
		if want == "" && (err != nil || !bytes.Equal(got, raw)) {
			t.Errorf("%q: %x, %v", text, got, err)
		}
		if want != "" && (err == nil || got != nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %x, %v; want %q", text, got, err, want)
		}
	}
	lines := regexp.MustCompile(".{64}").ReplaceAllString(item(t, nil), "$0\n")
	accepted(t, newFeature(pool(t)), lines)
}

// TestE5Keys: whoever has the key of the pool, the one before or the one
// after, can make a variable; and an error does not tell where it came from.
func TestE5Keys(t *testing.T) {
	t.Parallel()
	old, stranger := newKey(t, nil), newKey(t, nil)
	f := newFeature(pool(t), old)
	accepted(t, f, seal(t, pool(t), fields{}.String()), seal(t, old, fields{"name": "B"}.String()))
	if got := refused(t, f, seal(t, stranger, fields{}.String())); !strings.Contains(got, pool(t).Fingerprint()+" or "+old.Fingerprint()) {
		t.Errorf("the keys of the pool are not named: %s", got)
	}
	// The session key, and the end with the checksum: one fails before
	// anything is decrypted, the other after everything was.
	message, err := base64.StdEncoding.DecodeString(item(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, i := range []int{70, len(message) - 60, len(message) - 1} {
		altered := bytes.Clone(message)
		altered[i] ^= 0x10
		texts = append(texts, refused(t, f, base64.StdEncoding.EncodeToString(altered)))
	}
	if texts[0] != texts[1] || texts[1] != texts[2] || !strings.Contains(texts[0], "altered or cut") {
		t.Errorf("errors tell how far decrypting came: %q", texts)
	}
}

// TestE5Time: however long it takes to refuse a task, nobody can tell.
func TestE5Time(t *testing.T) {
	t.Parallel()
	items := map[string]string{
		"no base64": "?", "other key": seal(t, newKey(t, nil), fields{}.String()), "expired": item(t, fields{"endTime": ms(noon()) - 1}),
	}
	for name, one := range items {
		run := newRun(t, one)
		synctest.Test(t, func(t *testing.T) {
			f := New(Config{Keys: gpg.NewKeyring(pool(t)), Now: noon})
			begun := time.Now()
			time.Sleep(10 * time.Millisecond)
			hooks, err := f.Attach(run)
			if err != nil {
				t.Fatal(err)
			}
			prepared := time.Now()
			if err := hooks.Prepare(t.Context()); err == nil {
				t.Errorf("%s: accepted", name)
			}
			if took := time.Since(prepared); took != 250*time.Millisecond {
				t.Errorf("%s: refused after %v", name, took)
			}
			if err := f.even(t.Context(), begun); err != nil || time.Since(begun)%f.step != 0 {
				t.Errorf("%s: waited for %v, %v", name, time.Since(begun), err)
			}
		})
	}
}

// TestE7Names: the variables of the worker, and those that decide which code
// runs, are no secrets.
func TestE7Names(t *testing.T) {
	t.Parallel()
	posix, windows := newFeature(pool(t)), newFeature(pool(t))
	posix.key, windows.key = func(s string) string { return s }, strings.ToUpper
	for name, want := range map[string]struct{ posix, windows string }{
		"TASK_ID":                  {"worker's own", "worker's own"},
		"RUN_ID":                   {"worker's own", "worker's own"},
		"TASK_WORKDIR":             {"worker's own", "worker's own"},
		"TASKCLUSTER_PROXY_URL":    {"worker's own", "worker's own"},
		"TASKCLUSTER_ACCESS_TOKEN": {"worker's own", "worker's own"},
		"GENERIC_WORKER_SESSION":   {"worker's own", "worker's own"},
		"PWD":                      {"worker's own", "worker's own"},
		"task_id":                  {"", "worker's own"},
		"Taskcluster_Root_Url":     {"", "worker's own"},
		"PATH":                     {"by which the system finds", "by which the system finds"},
		"Path":                     {"", "by which the system finds"},
		"LD_LIBRARY_PATH":          {"by which the system finds", "by which the system finds"},
		"DYLD_INSERT_LIBRARIES":    {"by which the system finds", "by which the system finds"},
		"ComSpec":                  {"", "by which the system finds"},
		"LDAP_PASSWORD":            {"", ""},
		"TASKS":                    {"", ""},
		"PLAIN":                    {"which the payload's env sets", "which the payload's env sets"},
		"plain":                    {"", "which the payload's env sets"},
		"MIXED":                    {"", "which the payload's env sets"},
		"OF_A_FEATURE":             {"which the worker sets", "which the worker sets"},
		"a-b.c d":                  {"", ""},
		"1":                        {"", ""},
	} {
		for f, want := range map[*Feature]string{posix: want.posix, windows: want.windows} {
			run := newRun(t, item(t, fields{"name": name}))
			run.Setenv("OF_A_FEATURE", "1")
			hooks, err := f.Attach(run)
			if err != nil {
				t.Fatal(err)
			}
			err = hooks.Prepare(t.Context())
			if want == "" && (err != nil || run.Environ()[name] != hunter) {
				t.Errorf("%s: %v", name, err)
			}
			if want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) || run.Environ()[name] == hunter) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	accepted(t, posix, item(t, nil), item(t, fields{"name": "token"}))
	for first, second := range map[string]string{"TOKEN": "token", "token": "TOKEN", "Token": "token"} {
		got := refused(t, windows, item(t, fields{"name": first}), item(t, fields{"name": second}))
		if !strings.Contains(got, fmt.Sprintf("encryptedEnv[1]: is the variable %q, as is encryptedEnv[0]", second)) {
			t.Error(got)
		}
	}
}

// TestE7ReservesWhatTheWorkerSets looks for the variables in the code.
func TestE7ReservesWhatTheWorkerSets(t *testing.T) {
	t.Parallel()
	found := 0
	for file, pattern := range map[string]string{
		"../../internal/worker/commands.go": `env\["([A-Z_]+)"\]`,
		"../../platform/insecure.go":        `"([A-Z_]+)="`,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			found++
			if !ofWorker(name[1]) {
				t.Errorf("%s sets %s, which is not reserved", file, name[1])
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d variables were found", found)
	}
}

// TestE8NothingLeaks prints what there is of a run in every way.
func TestE8NothingLeaks(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := newFeature(pool(t))
	run := newRun(t, item(t, nil), item(t, fields{"name": "B", "value": hunter + "\x00"}))
	run.Operator = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	fmt.Fprintln(&out, start(t, f, run))
	run.Payload.EncryptedEnv = run.Payload.EncryptedEnv[:1]
	if err := start(t, f, run); err != nil {
		t.Fatal(err)
	}
	// What the task prints is masked.
	fmt.Fprintf(run.Log, "%s %s %q\n", hunter, base64.StdEncoding.EncodeToString([]byte(hunter)), hunter)
	run.Log.Info("it is %s", hunter)
	m, err := f.open(run.Payload.EncryptedEnv[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, format, m)
		fmt.Fprintf(&out, format, &m)
		fmt.Fprintf(&out, format, m.Value)
	}
	encoded, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("message", "message", m, "value", m.Value)
	if err := run.Log.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := run.Log.Follow(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := io.Copy(&out, log); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), base64.StdEncoding.EncodeToString([]byte("hunter"))) {
		t.Errorf("the value is shown:\n%s", &out)
	}
}

// TestE9ShortLivedKeys: one key follows another. The new one is added before
// the old one ends, and the old one goes when what was encrypted to it has run
// out; from then on nobody can open the old items any more.
func TestE9ShortLivedKeys(t *testing.T) {
	t.Parallel()
	soon := func(s *gpg.Spec) { s.Now, s.Lifetime = time.Now().Add(-time.Hour), 2*time.Hour }
	first, second := newKey(t, soon), newKey(t, soon)
	a, b := seal(t, first, fields{"name": "A"}.String()), seal(t, second, fields{"name": "B"}.String())
	if got := sortedKeys(accepted(t, newFeature(first, second), a, b)); len(got) != 2 {
		t.Errorf("got %v", got)
	}
	accepted(t, newFeature(second), b)
	if got := refused(t, newFeature(second), a); !strings.Contains(got, "is not encrypted to the key of this pool") {
		t.Error(got)
	}
	ended := newKey(t, func(s *gpg.Spec) { s.Now, s.Lifetime = noon().AddDate(-1, 0, 0), time.Hour })
	if _, err := ended.Encrypt(nil); !errors.Is(err, gpg.ErrExpired) {
		t.Errorf("variables can be encrypted to a key that has expired: %v", err)
	}
	if err := works(ended); err != nil {
		t.Errorf("a key that has expired does not decrypt: %v", err)
	}
}
