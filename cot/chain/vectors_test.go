package chain_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/chain/chaintest"
	"github.com/taskcluster/generic-worker/cot/chain/report"
	"github.com/taskcluster/generic-worker/cot/chain/trust"
	"github.com/taskcluster/generic-worker/gpg"
)

// The tests C7 to C18 are about what hostile certificates and chains look
// like; what is about single files, packages cot and gpg have too.

// dockerKey changes the policy's entry for the key of docker-worker.
func dockerKey(change func(*world, *chain.Key)) func(*world) {
	return func(w *world) {
		key := w.Signers[trust.DockerWorker].Public("old")
		change(w, &key)
		w.Policy.Keys[trust.DockerWorker] = chain.Keys{Ed25519: []chain.Key{key}}
	}
}

// openPGP replaces the key of docker-worker in the keyring.
func openPGP(change func(*world, *gpg.Key) *gpg.Key) func(*world) {
	return func(w *world) {
		key := change(w, w.Signers[trust.DockerWorker].OpenPGP)
		w.Policy.Keys[trust.DockerWorker] = chain.Keys{OpenPGP: gpg.NewKeyring(key)}
	}
}

// revoked returns a copy of a key with its revocation.
func revoked(t testing.TB, key *gpg.Key) *gpg.Key {
	t.Helper()
	armored, err := key.ArmorSecret()
	if err != nil {
		t.Fatal(err)
	}
	entities, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
	if err != nil {
		t.Fatal(err)
	}
	if err := entities[0].RevokeKey(packet.KeyCompromised, "stolen", nil); err != nil {
		t.Fatal(err)
	}
	var public bytes.Buffer
	if err := entities[0].Serialize(&public); err != nil {
		t.Fatal(err)
	}
	ring, err := gpg.Read(public.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return ring.Keys()[0]
}

// everyDocker is the rule for all links that docker-worker has signed.
func everyDocker(rule string) []string {
	return []string{rule + " BuildTask", rule + " DecisionTask", rule + " DockerImageTask"}
}

func TestC7(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "unknown", made: signedBy(chaintest.Build, "stranger"), fails: []string{"certificate-signature BuildTask"}},
		{name: "of another implementation", made: signedBy(chaintest.Build, trust.GenericWorker), fails: []string{"certificate-signature BuildTask"}},
		{name: "revoked", profile: chain.Ed25519, made: dockerKey(func(w *world, k *chain.Key) { k.Revoked, k.Reason = w.Resolved, "stolen" }), fails: everyDocker("certificate-signature")},
		{name: "revoked later", profile: chain.Ed25519, made: dockerKey(func(w *world, k *chain.Key) { k.Revoked = w.Resolved.Add(time.Second) })},
		{name: "valid before only", profile: chain.Ed25519, made: dockerKey(func(w *world, k *chain.Key) { k.NotAfter = w.Resolved.Add(-time.Second) }), fails: everyDocker("certificate-signature")},
		{name: "valid after only", profile: chain.Ed25519, made: dockerKey(func(w *world, k *chain.Key) { k.NotBefore = w.Resolved.Add(time.Second) }), fails: everyDocker("certificate-signature")},
		{name: "valid then", profile: chain.Ed25519, made: dockerKey(func(w *world, k *chain.Key) { k.NotBefore, k.NotAfter = w.Resolved, w.Resolved })},
		{
			name: "of other pools", profile: chain.Ed25519, made: dockerKey(func(_ *world, k *chain.Key) { k.Pools = []string{"built-pool/decision", "other/*"} }),
			fails: []string{"certificate-signature BuildTask", "certificate-signature DockerImageTask"},
		},
		{name: "of these pools", profile: chain.Ed25519, made: dockerKey(func(_ *world, k *chain.Key) { k.Pools = []string{"built-pool/*"} })},
		{name: "listed twice", profile: chain.Ed25519, made: func(w *world) {
			key := w.Signers[trust.DockerWorker].Public("old")
			first, second := key, key
			first.NotAfter, second.NotBefore = w.Resolved.Add(-time.Hour), w.Resolved.Add(-time.Hour)
			w.Policy.Keys[trust.DockerWorker] = chain.Keys{Ed25519: []chain.Key{first, second}}
		}},
		{name: "revoked", profile: chain.GPG, made: openPGP(func(_ *world, k *gpg.Key) *gpg.Key { return revoked(t, k) }), fails: everyDocker("certificate-signature")},
		{name: "expired", profile: chain.GPG, made: func(w *world) {
			// Its runs are those of another day.
			key, err := gpg.Generate(gpg.Spec{Name: "old", Algorithm: gpg.Curve25519, Now: w.Resolved.Add(-time.Hour), Lifetime: 2 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			w.Signers[trust.DockerWorker] = &chaintest.Signer{OpenPGP: key}
			w.Policy.Keys[trust.DockerWorker] = chain.Keys{OpenPGP: gpg.NewKeyring(key)}
			for _, task := range w.Tasks {
				if task.Signer == trust.DockerWorker {
					task.Runs[0].Resolved = w.Resolved.Add(48 * time.Hour)
				}
			}
		}, fails: everyDocker("certificate-signature")},
	})
}

func TestC8(t *testing.T) {
	t.Parallel()
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	signature := func(change func([]byte) []byte) func(*world) {
		return func(w *world) {
			files := w.Tasks[chaintest.Build].Files
			files[chaintest.Signature] = change(bytes.Clone(files[chaintest.Signature]))
		}
	}
	fails := []string{"certificate-signature BuildTask"}
	run(t, []scenario{
		{name: "over other bytes", profile: chain.Ed25519, signed: func(w *world) {
			w.Tasks[chaintest.Build].Files[chaintest.Signature] = w.Tasks[chaintest.Image].Files[chaintest.Signature]
		}, fails: fails},
		{name: "63 bytes", profile: chain.Ed25519, signed: signature(func(s []byte) []byte { return s[:63] }), fails: fails},
		{name: "65 bytes", profile: chain.Ed25519, signed: signature(func(s []byte) []byte { return append(s, 0) }), fails: fails},
		{name: "no bytes", profile: chain.Ed25519, signed: signature(func(s []byte) []byte { return s[:0] }), fails: fails},
		{name: "zero", profile: chain.Ed25519, signed: signature(func([]byte) []byte { return make([]byte, 64) }), fails: fails},
		{name: "in hex", profile: chain.Ed25519, signed: signature(func(s []byte) []byte { return []byte(hex.EncodeToString(s)) }), fails: fails},
		{name: "not reduced", profile: chain.Ed25519, signed: signature(func(s []byte) []byte {
			second := slices.Clone(s[32:])
			slices.Reverse(second)
			sum := new(big.Int).Add(new(big.Int).SetBytes(second), order).FillBytes(make([]byte, 32))
			slices.Reverse(sum)
			return append(s[:32], sum...)
		}), fails: fails},
		{name: "key of small order", profile: chain.Ed25519, made: func(w *world) {
			small := make(ed25519.PublicKey, 32)
			small[0] = 1
			w.Policy.Keys[trust.DockerWorker] = chain.Keys{Ed25519: []chain.Key{{Public: small}}}
		}, signed: signature(func([]byte) []byte { return append([]byte{1}, make([]byte, 63)...) }), fails: everyDocker("certificate-signature")},
	})
}

func TestC9(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "other task", made: sworn(chaintest.Build, func(o object) { o["taskId"] = chaintest.Image }), fails: []string{"certificate-task-id BuildTask"}},
		{name: "other run", made: all(twoRuns, sworn(chaintest.Build, func(o object) { o["runId"] = 0 })), fails: []string{"certificate-run BuildTask"}},
		{name: "run to come", made: sworn(chaintest.Build, func(o object) { o["runId"] = 1 }), fails: []string{"certificate-run BuildTask"}},
		{name: "other definition", made: sworn(chaintest.Build, func(o object) { o["task"].(object)["tags"] = object{"a": "b"} }), fails: []string{"certificate-definition BuildTask"}},
		{name: "definition with more", made: sworn(chaintest.Build, func(o object) { o["task"].(object)["more"] = nil }), fails: []string{"certificate-definition BuildTask"}},
		{name: "definition with less", made: sworn(chaintest.Build, func(o object) { delete(o["task"].(object), "retries") }), fails: []string{"certificate-definition BuildTask"}},
		{name: "signed before the run", profile: chain.GPG, made: func(w *world) {
			w.Tasks[chaintest.Build].Runs[0] = chain.Run{State: "completed", Started: w.Resolved.Add(45 * time.Minute), Resolved: w.Resolved.Add(time.Hour)}
		}, fails: []string{"certificate-time BuildTask"}},
		{name: "signed after the run", profile: chain.GPG, made: func(w *world) {
			w.Tasks[chaintest.Build].Runs[0].Resolved = w.Resolved.Add(-15 * time.Minute)
		}, fails: []string{"certificate-signature BuildTask"}},
		{name: "signed by a fast clock", profile: chain.GPG, made: func(w *world) {
			w.Tasks[chaintest.Build].Runs[0].Resolved = w.Resolved.Add(-5 * time.Minute)
		}},
	})
}

func TestC10(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("0", 64)
	var scenarios []scenario
	for name, sums := range map[string]any{
		"empty": object{}, "null": nil, "a list": []any{}, "a text": sha,
		"md5 only": object{"md5": sha[:32]}, "sha1 only": object{"sha1": sha[:40]}, "unknown only": object{"sha0": sha},
		"upper case": object{"sha256": strings.Repeat("A", 64)}, "white space": object{"sha256": " " + sha[1:]},
		"63 digits": object{"sha256": sha[:63]}, "65 digits": object{"sha256": sha + "0"}, "a number": object{"sha256": 5},
	} {
		scenarios = append(scenarios, scenario{
			name: name, made: sworn(chaintest.Build, func(o object) { artifacts(o)[chaintest.Artifact] = sums }),
			fails: []string{"certificate-signature BuildTask"},
		})
	}
	run(t, append(scenarios,
		scenario{name: "missing", made: sworn(chaintest.Build, func(o object) { delete(artifacts(o), chaintest.Artifact) }), fails: []string{"artifact-listed BuildTask"}},
		scenario{name: "weak one right, strong one wrong", made: all(sworn(chaintest.Build, func(o object) {
			artifacts(o)[chaintest.Artifact] = object{"md5": "2ec0ab5fdd2d3f4fd1d0dfc05d9a3dd3", "sha256": sha}
		})), fails: []string{"artifact-hash BuildTask"}},
		scenario{name: "one right, another wrong", made: all(sworn(chaintest.Build, func(o object) {
			artifacts(o)[chaintest.Artifact].(object)["sha512"] = sha + sha
		})), fails: []string{"artifact-hash BuildTask"}},
	))
}

func TestC11(t *testing.T) {
	t.Parallel()
	forget := func(id, name string) func(*world) {
		return sworn(id, func(o object) { delete(artifacts(o), name) })
	}
	run(t, []scenario{
		{name: "upstream artifact", made: forget(chaintest.Build, chaintest.Artifact), fails: []string{"artifact-listed BuildTask"}},
		{name: "task graph", made: forget(chaintest.Decision, "public/task-graph.json"), fails: []string{"artifact-listed DecisionTask"}},
		{name: "image", made: forget(chaintest.Image, chaintest.ImagePath), fails: []string{"image-hash BuildTask"}},
		{name: "actions", profile: chain.Ed25519, made: all(withAction, forget(chaintest.Decision, "public/actions.json")), fails: []string{"artifact-listed DecisionTask"}},
	})
}

func TestC12(t *testing.T) {
	t.Parallel()
	encoded := func(change func(string) string) func(*world) {
		return func(w *world) {
			w.Tasks[chaintest.Build].Encode = func(body []byte) []byte { return []byte(change(string(body))) }
		}
	}
	first := func(text string) func(*world) {
		return encoded(func(body string) string { return strings.Replace(body, "{", "{"+text, 1) })
	}
	fails := []string{"certificate-signature BuildTask"}
	scenarios := []scenario{
		{name: "member twice, the second one right", made: first(`"taskId": "` + chaintest.Image + `",`), fails: fails},
		{name: "member twice, the first one right", made: encoded(func(body string) string {
			return strings.TrimRight(body, "} \n") + `,"taskId": "` + chaintest.Image + `"}`
		}), fails: fails},
		{name: "member in another case", made: first(`"TaskId": "` + chaintest.Build + `",`), fails: fails},
		{name: "byte order mark", profile: chain.Ed25519, made: encoded(func(body string) string { return "\ufeff" + body }), fails: fails},
		{name: "trailing garbage", made: encoded(func(body string) string { return body + "x" }), fails: fails},
		{name: "two documents", made: encoded(func(body string) string { return body + body }), fails: fails},
		{name: "deep", made: first(`"more": ` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + ","), fails: fails},
		{name: "large", profile: chain.Ed25519, made: encoded(func(body string) string { return body + strings.Repeat(" ", cot.MaxBytes) }), fails: fails},
		{name: "invalid UTF-8", profile: chain.Ed25519, made: first("\"more\": \"\xff\","), fails: fails},
		{name: "NUL in a name", made: first(`"artifacts\u0000": {},`)},
	}
	for i := range scenarios {
		if scenarios[i].name == "NUL in a name" {
			scenarios[i].made = encoded(func(body string) string {
				return strings.Replace(body, `"public/build/target.txt"`, `"public/build/target.txt\u0000"`, 1)
			})
			scenarios[i].fails = fails
		}
	}
	graph := func(text string) func(*world) {
		return func(w *world) {
			w.Tasks[chaintest.Decision].Files["public/task-graph.json"] = []byte(text)
			w.SignTask(w.Tasks[chaintest.Decision])
		}
	}
	for name, text := range map[string]string{
		"graph that is a list": `[]`, "graph with a task twice": `{"a":{},"a":{}}`, "graph with more behind it": `{}{}`, "graph that is cut off": `{"a":`,
		"graph with a large task": `{"a":"` + strings.Repeat("x", 5<<20) + `"}`,
	} {
		scenarios = append(scenarios, scenario{name: name, signed: graph(text), fails: []string{"parent-graph DecisionTask"}})
	}
	run(t, append(scenarios, scenario{
		name: "graph with a task that has a member twice", profile: chain.Ed25519, signed: graph(
			`{"` + chaintest.Build + `":{"task":{},"task":{}},"` + chaintest.Image + `":{"task":[]},"` + chaintest.Signing + `":5}`),
		fails: []string{"task-graph BuildTask", "task-graph DockerImageTask", "task-graph SigningTask"},
	}))
}

func TestC13(t *testing.T) {
	t.Parallel()
	var scenarios []scenario
	for name, change := range map[string]func(string) string{
		"text before": func(s string) string { return "x\n" + s },
		"text after":  func(s string) string { return s + "x\n" },
		"text between": func(s string) string {
			return strings.Replace(s, "-----BEGIN PGP SIGNATURE", "x\n-----BEGIN PGP SIGNATURE", 1)
		},
		"form feed":            func(s string) string { return strings.Replace(s, "{\n", "{\f\n", 1) },
		"NotDashEscaped":       func(s string) string { return strings.Replace(s, "\n\n", "\nNotDashEscaped: x\n\n", 1) },
		"Hash forged":          func(s string) string { return strings.Replace(s, "Hash: SHA512", "Hash: MD5", 1) },
		"Hash absent":          func(s string) string { return strings.Replace(s, "Hash: SHA512\n", "", 1) },
		"needless dash escape": func(s string) string { return strings.Replace(s, "{\n", "- {\n", 1) },
		"blanks at the end":    func(s string) string { return strings.Replace(s, "{\n", "{ \n", 1) },
		"one line end differs": func(s string) string { return strings.Replace(s, "{\n", "{\r\n", 1) },
		"too long":             func(s string) string { return s + strings.Repeat("x", cot.MaxBytes) },
		"no signature":         func(s string) string { before, _, _ := strings.Cut(s, "-----BEGIN PGP SIGNATURE"); return before },
		"plain text": func(s string) string {
			_, body, _ := strings.Cut(s, "\n\n")
			body, _, _ = strings.Cut(body, "\n-----BEGIN PGP SIGNATURE")
			return body
		},
	} {
		scenarios = append(scenarios, scenario{
			name: name, profile: chain.GPG, signed: func(w *world) {
				files := w.Tasks[chaintest.Build].Files
				files[chaintest.ClearSigned] = []byte(change(string(files[chaintest.ClearSigned])))
			}, fails: []string{"certificate-signature BuildTask"},
		})
	}
	run(t, scenarios)
}

func TestC14(t *testing.T) {
	t.Parallel()
	second := func(signer string, swapped bool) func(*world) {
		return func(w *world) {
			b := w.Tasks[chaintest.Build]
			one := b.Files[chaintest.ClearSigned]
			b.Signer = signer
			delete(b.Files, chaintest.ClearSigned)
			w.SignTask(b)
			parts := [][]byte{one, b.Files[chaintest.ClearSigned]}
			if swapped {
				slices.Reverse(parts)
			}
			b.Files[chaintest.ClearSigned] = bytes.Join(parts, nil)
		}
	}
	fails := []string{"certificate-signature BuildTask"}
	run(t, []scenario{
		{name: "good and unknown", profile: chain.GPG, signed: second("stranger", false), fails: fails},
		{name: "unknown and good", profile: chain.GPG, signed: second("stranger", true), fails: fails},
		{name: "good twice", profile: chain.GPG, signed: second(trust.DockerWorker, false), fails: fails},
		{name: "two ed25519 signatures", profile: chain.Ed25519, signed: func(w *world) {
			files := w.Tasks[chaintest.Build].Files
			files[chaintest.Signature] = append(files[chaintest.Signature], files[chaintest.Signature]...)
		}, fails: fails},
	})
}

func TestC15(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{
			name: "decision task from another repository", made: set(chaintest.Decision, elsewhere, "metadata", "source"), published: func(w *world) {},
			request: func(r *chain.Request) { r.Policy.EnvPrefix = "NONE" }, fails: []string{"same-tree DecisionTask"},
		},
		{name: "decision task that is not as in the repository", published: set(chaintest.Decision, "other", "payload", "env", "TREE_HEAD_REF"), fails: []string{"parent-definition DecisionTask"}},
		{name: "missing in the graph", published: func(w *world) { delete(w.Graphs[chaintest.Decision], chaintest.Build) }, fails: []string{"task-graph BuildTask"}},
		{name: "match by name", published: func(w *world) {
			graph := w.Graphs[chaintest.Decision]
			graph[other] = graph[chaintest.Build]
			delete(graph, chaintest.Build)
			w.Tasks[chaintest.Build].Set("evil", "payload", "env", "LEVEL")
		}, fails: []string{"task-graph BuildTask"}},
		{name: "match by equal entry", profile: chain.Ed25519, published: func(w *world) {
			graph := w.Graphs[chaintest.Decision]
			graph[other] = graph[chaintest.Build]
			delete(graph, chaintest.Build)
		}, fails: []string{"task-graph BuildTask"}},
		{name: "forged inputs", made: all(secondDecision, set(chaintest.Build, "generic", "tags", "kind")), published: func(w *world) {
			// An image of one's own, from a task that no graph has.
			evil := w.Add(other, "built-pool/images", trust.DockerWorker, object{"image": "x", "features": object{}, "env": object{}})
			evil.Environment["imageHash"] = "sha256:builder"
			evil.Files[chaintest.ImagePath] = []byte("layers")
			w.Tasks[chaintest.Build].Set(other, "extra", "chainOfTrust", "inputs", "docker-image")
			w.Tasks[chaintest.Build].Set(other, "payload", "image", "taskId")
		}, fails: []string{"task-graph BuildTask", "task-graph OtherTask"}},
		{name: "cycle", made: set(chaintest.Image, chaintest.Build, "extra", "chainOfTrust", "inputs", "build")},
		{name: "cycle of creators", profile: chain.Ed25519, made: func(w *world) {
			withAction(w)
			second := w.AddDecision(other)
			second.Definition["extra"] = object{"tasks_for": "action", "parent": action, "action": object{}}
			second.Set(other, "taskGroupId")
			w.Tasks[action].Set(other, "extra", "parent")
			w.Tasks[action].Set(other, "taskGroupId")
			w.Tasks[action].Set(other, "payload", "env", "ACTION_TASK_GROUP_ID")
			w.Tasks[chaintest.Signing].Set(other, "taskGroupId")
		}, fails: []string{"parent-definition ActionTask", "parent-definition OtherTask"}},
		{name: "longer than 20", profile: chain.Ed25519, made: stray(19), fails: []string{"chain-limits BuildTask", "image-task BuildTask"}},
		{name: "exactly 20", profile: chain.Ed25519, made: stray(17)},
		{name: "parent of a lower level", made: func(w *world) { w.Policy.RestrictedTrees["release-trees"] = []string{"/trees/release"} }, fails: []string{"restricted-scopes SigningTask"}},
		{name: "interactive parent", made: set(chaintest.Decision, true, "payload", "features", "interactive"), fails: []string{"interactive DecisionTask"}},
	})
}

func TestC16(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "image of a task that nobody trusts", made: signedBy(chaintest.Image, "stranger"), fails: []string{"certificate-signature DockerImageTask"}},
		{name: "image of a task without a certificate", made: signedBy(chaintest.Image, ""), fails: []string{"certificate-present DockerImageTask"}},
		{name: "image of a task outside the graph", published: func(w *world) { delete(w.Graphs[chaintest.Decision], chaintest.Image) }, fails: []string{"task-graph DockerImageTask"}},
		{name: "index changed between look-up and download", made: func(w *world) {
			w.Tasks[chaintest.Build].Environment["imageArtifactHash"] = "sha256:" + strings.Repeat("1", 64)
		}, fails: []string{"image-hash BuildTask"}},
		{name: "image hash of a weak algorithm", made: func(w *world) {
			w.Tasks[chaintest.Build].Environment["imageArtifactHash"] = "md5:" + strings.Repeat("1", 32)
		}, fails: []string{"image-hash BuildTask"}},
		{name: "image hash of a weak algorithm that the policy allows", made: all(sworn(chaintest.Image, func(o object) {
			artifacts(o)[chaintest.ImagePath].(object)["md5"] = strings.Repeat("1", 32)
		}), func(w *world) {
			w.Tasks[chaintest.Build].Environment["imageArtifactHash"] = "md5:" + strings.Repeat("1", 32)
			w.Policy.Algorithms = []string{"md5", "sha256"}
		}), fails: []string{"image-hash BuildTask"}},
	})
}

func TestC17(t *testing.T) {
	t.Parallel()
	run(t, []scenario{
		{name: "no entry", made: func(w *world) { delete(w.Policy.Keys, trust.DockerWorker) }, fails: everyDocker("certificate-signature")},
		{name: "empty", made: func(w *world) {
			w.Policy.Keys[trust.DockerWorker] = chain.Keys{Ed25519: []chain.Key{}, OpenPGP: gpg.NewKeyring()}
		}, fails: everyDocker("certificate-signature")},
		{name: "no roots", profile: chain.GPG, made: all(repackage, func(w *world) {
			keys := w.Policy.Keys[trust.ScriptWorker]
			keys.CertifiedBy = gpg.NewKeyring()
			w.Policy.Keys[trust.ScriptWorker] = keys
		}), fails: []string{"certificate-signature OtherTask"}},
		{name: "roots only", profile: chain.GPG, made: all(repackage, func(w *world) {
			keys := w.Policy.Keys[trust.ScriptWorker]
			keys.OpenPGP = nil
			w.Policy.Keys[trust.ScriptWorker] = keys
		}), fails: []string{"certificate-signature OtherTask"}},
		{name: "of the other profile", profile: chain.GPG, made: func(w *world) {
			w.Policy.Keys[trust.DockerWorker] = chain.Keys{Ed25519: []chain.Key{{Public: make(ed25519.PublicKey, 32)}}}
		}, fails: everyDocker("certificate-signature")},
		{name: "key twice", profile: chain.GPG, made: func(w *world) {
			key := w.Signers[trust.DockerWorker].OpenPGP
			w.Policy.Keys[trust.DockerWorker] = chain.Keys{OpenPGP: gpg.NewKeyring(key, key)}
		}},
	})
}

// TestMutations changes one bit of what the chain is verified by. Package trust
// does it more often, to certificates alone.
func TestMutations(t *testing.T) {
	t.Parallel()
	for _, p := range profiles(scenario{}) {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			w := chaintest.New(t, p)
			w.Publish()
			w.Sign()
			build := w.Tasks[chaintest.Build]
			names := []string{chaintest.Artifact, chaintest.Certificate, chaintest.Signature}
			if p == chain.GPG {
				names = []string{chaintest.Artifact, chaintest.ClearSigned}
			}
			random := rand.New(rand.NewPCG(1, 2))
			dir := t.TempDir()
			for range 150 {
				name := names[random.IntN(len(names))]
				good := build.Files[name]
				bad := slices.Clone(good)
				at := random.IntN(len(bad))
				bad[at] ^= 1 << random.IntN(8)
				build.Files[name] = bad
				request := w.Request(dir)
				if r := chain.Verify(t.Context(), request); r.Verdict != report.Refused {
					t.Fatal(fmt.Sprintf("byte %d of %s as %q: ", at, name, bad[at]), r)
				}
				build.Files[name] = good
			}
		})
	}
}
