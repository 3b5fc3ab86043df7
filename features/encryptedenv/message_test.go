package encryptedenv

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/taskcluster/generic-worker/internal/mask"
)

// good is a message that a worker takes.
func good() Message {
	return Message{TaskID: taskID, Start: float64(ms(noon())), End: float64(ms(noon().Add(time.Hour))), Name: "TOKEN", Value: hunter}
}

func TestSeal(t *testing.T) {
	t.Parallel()
	f := newFeature(pool(t))
	one, err := Seal(pool(t), good())
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(one, "-_\n ") {
		t.Errorf("not one line of standard base64: %s", one)
	}
	if diff := cmp.Diff(map[string]string{"TOKEN": hunter}, accepted(t, f, one)); diff != "" {
		t.Error(diff)
	}
	for name, row := range map[string]struct {
		change func(*Message)
		want   string
	}{
		"no name":       {func(m *Message) { m.Name = "" }, "without a name"},
		"reserved":      {func(m *Message) { m.Name = "RUN_ID" }, "worker's own"},
		"not UTF-8":     {func(m *Message) { m.Value = "\xff" }, "value that is not UTF-8; encode the value"},
		"name no UTF-8": {func(m *Message) { m.Name = "\xff" }, "name that is not UTF-8"},
		"NUL":           {func(m *Message) { m.Value = "\x00" }, "NUL character"},
		"backwards":     {func(m *Message) { m.Start = m.End + 1 }, "endTime before"},
		"for ever":      {func(m *Message) { m.End = 1e15 }, "more than 31 days"},
		"large":         {func(m *Message) { m.Value = mask.Secret(strings.Repeat("x", maxMessage)) }, "encrypted variable has 65"},
		"very large":    {func(m *Message) { m.Value = mask.Secret(strings.Repeat("x", 1<<20)) }, "too long for a variable"},
	} {
		m := good()
		row.change(&m)
		if one, err := Seal(pool(t), m); err == nil || one != "" || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
	if _, err := Seal(newKey(t, signing), good()); err == nil || !strings.Contains(err.Error(), "no subkey for encryption") {
		t.Errorf("a key for signatures: %v", err)
	}
}

// FuzzMessage compares what parse yields with a second reading of the same
// text, which sees the last of members that are there twice.
func FuzzMessage(f *testing.F) {
	for _, seed := range []fields{
		nil,
		{"messageVersion": "1"},
		{"startTime": -1.5e-3, "value": "\u2028😀"},
		{"name": nil},
		{"value": []any{map[string]any{"value": "x"}}},
	} {
		f.Add([]byte(seed.String()))
	}
	f.Add([]byte(strings.Replace(fields{}.String(), "{", "{ \"n\\u0061me\" : \"\\ud83d\\ude00\\\\\" ,\n", 1)))
	f.Add([]byte(`{"value":"\ud83d"}{}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		m, err := parse(plain)
		if err != nil {
			if m != (Message{}) || err.Error() == "" {
				t.Fatalf("%v, and something is returned", err)
			}
			return
		}
		if !utf8.Valid(plain) {
			t.Fatal("accepted, and not UTF-8")
		}
		var again map[string]any
		if err := json.Unmarshal(plain, &again); err != nil || len(again) != len(members) {
			t.Fatalf("another reader sees %d members, %v", len(again), err)
		}
		if v := again["messageVersion"]; v != 1.0 && v != "1" {
			t.Fatalf("version %v", v)
		}
		want := Message{again["taskId"].(string), again["startTime"].(float64), again["endTime"].(float64), again["name"].(string), mask.Secret(again["value"].(string))}
		if m != want {
			t.Fatalf("another reader sees something else")
		}
		text := string(plain)
		if strings.ContainsRune(string(m.Value)+m.Name+m.TaskID, utf8.RuneError) && !strings.ContainsRune(text, utf8.RuneError) && !strings.Contains(strings.ToLower(text), `\ufffd`) {
			t.Fatal("characters were replaced")
		}
	})
}

// FuzzItem looks for two texts in one dialect that stand for the same bytes,
// and for messages that a stranger makes.
func FuzzItem(f *testing.F) {
	feature := newFeature(pool(f))
	f.Add(item(f, nil))
	f.Add("+/++AQ==")
	f.Add("-_--AQ")
	f.Add("hQEM\nA4==")
	f.Fuzz(func(t *testing.T, text string) {
		message, err := decode(text)
		if err != nil {
			if message != nil {
				t.Fatal("refused, and something is returned")
			}
			return
		}
		if len(message) > maxMessage {
			t.Fatalf("%d bytes", len(message))
		}
		if !spells(text, message) {
			t.Fatalf("%q is no encoding of %x", text, message)
		}
		if m, err := feature.open(text); err == nil && m.TaskID != taskID {
			t.Fatalf("a stranger's message was opened: %+v", m)
		}
	})
}
