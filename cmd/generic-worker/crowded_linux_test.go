package main

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// crowdedScript wants all that is mounted to be its own: nobody else may be in
// the cache at the same time, and nothing that others wrote into what is not
// kept may be there. It says its own word everywhere.
const crowdedScript = `
	wrong() { echo "$TASK_ID $RUN_ID: $1" >> "$REPORT"; exit 9; }
	mkdir c/lock || wrong "somebody has the same cache: $(cat c/lock/who)"
	echo $TASK_ID > c/lock/who
	(cd t && sha256sum --status -c SUMS) || wrong "a changed tree"
	[ $(find t -type f | wc -l) = 61 ] || wrong "a tree with something of others in it: $(find t -newer t/SUMS -name 'by*')"
	tar -tf f/tree.tar > list && [ $(wc -l < list) = 61 ] || wrong "a changed file"
	for other in $(env | grep -o 'word-[A-Za-z0-9]*' | sort -u); do [ $other = $WORD ] || wrong "the environment has $other"; done
	echo $WORD; echo $WORD > t/by-$TASK_ID; echo $WORD > t/d0/0; echo $WORD > f/tree.tar; echo $WORD > f/by-$TASK_ID
	end() { rm -r c/lock; exit $1; }`

// TestN1EightWantTheSame has eight tasks at a time want the same cache, archive
// and file, and end in each way there is. Nothing of one is seen by another.
func TestN1EightWantTheSame(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, "capacity: 8\n")
	c.start()
	ways := []struct{ mounts, then, want string }{
		{"cache tree file", "end 0", "completed"},
		{"cache slow file", "end 0", "completed"},
		{"tree file cache", "end 3", "failed"},
		{"file cache tree", "sleep 600", "failed"},                         // at its time limit
		{"cache tree file", `: > "$REPORT-$WORD"; sleep 600`, "exception"}, // canceled
		{"cache file tree", "end 0", "completed"},
		{"cache slow file", "rm -r c/lock; kill -9 $$", "failed"},
		{"cache tree file", "end 4", "exception"}, // retried
	}
	const rounds = 3
	ids := make([][]string, rounds)
	words := map[string]string{}
	for round := range rounds {
		for i, way := range ways {
			word := fmt.Sprintf("word-%dx%dx%s", round, i, c.mark[:8])
			id := c.add(crowdedScript+"\n"+way.then, way.mounts, func(payload map[string]any) {
				payload["env"].(map[string]string)["WORD"] = word
				payload["artifacts"] = []any{map[string]any{"type": "glob", "path": "*/by-*", "name": "public/by", "maxFiles": 9, "optional": true}}
				payload["onExitStatus"] = map[string]any{"retry": []int{4}}
				if way.want == "failed" && strings.HasPrefix(way.then, "sleep") {
					payload["maxRunTime"] = 1
				}
			})
			words[id], ids[round] = word, append(ids[round], id)
		}
	}
	for _, round := range ids {
		if _, err := awaitMatch(c.report+"-"+words[round[4]], ""); err != nil {
			t.Fatal(err)
		}
		c.Cancel(round[4])
	}
	for _, round := range ids {
		for i, id := range round {
			run := c.resolved(id, 0)
			if run.State != ways[i].want {
				t.Errorf("the task that does %q is %s (%s), want %s:\n%s", ways[i].then, run.State, run.Reason, ways[i].want, run.Artifact("public/logs/live_backing.log").Body)
			}
			for _, artifact := range run.Artifacts {
				c.noOther(id, artifact.Name, artifact.Body, words)
			}
		}
	}
	c.end(syscall.SIGINT)
	c.reported()
	c.nothingLeft()
	for _, violation := range c.Violations() {
		t.Error(violation)
	}
}

// noOther wants an artifact to have no word but that of its task.
func (c *crowd) noOther(taskID, name string, body []byte, words map[string]string) {
	c.t.Helper()
	for other, word := range words {
		if other != taskID && bytes.Contains(body, []byte(word)) {
			c.t.Errorf("%s of %s (%s) has the word of %s (%s)", name, taskID, words[taskID], other, word)
		}
	}
}
