package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSnake(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"rootURL": "ROOT_URL", "accessToken": "ACCESS_TOKEN", "publicIP": "PUBLIC_IP", "wstServerURL": "WST_SERVER_URL",
		"ed25519SigningKeyLocation": "ED25519_SIGNING_KEY_LOCATION", "enableOSGroups": "ENABLE_OS_GROUPS",
		"d2gConfig": "D2G_CONFIG", "enableD2G": "ENABLE_D2G", "allowGPUs": "ALLOW_GPUS", "allowKVM": "ALLOW_KVM",
		"disableOOMProtection": "DISABLE_OOM_PROTECTION", "enableRDP": "ENABLE_RDP", "instanceId": "INSTANCE_ID",
	} {
		if got := snake(name); got != want {
			t.Errorf("%s becomes %s, want %s", name, got, want)
		}
	}
}

// TestEverySettingHasAVariable takes care that no two settings share one and
// that none looks like the file of another.
func TestEverySettingHasAVariable(t *testing.T) {
	t.Parallel()
	root, err := readKeys()
	if err != nil {
		t.Fatal(err)
	}
	variables := root.variables()
	settings := map[string]bool{}
	for variable, path := range variables {
		settings[strings.Join(path, ".")] = true
		if base, is := strings.CutSuffix(variable, fileSuffix); is && variables[base] != nil {
			t.Errorf("%s is a setting, and the file of %s", variable, base)
		}
	}
	for name, key := range root.Properties {
		if !settings[name] && !key.Deprecated {
			t.Errorf("%s cannot be set by a variable", name)
		}
	}
	if got := variables["GENERIC_WORKER_INSTANCE_ID"]; !slices.Equal(got, []string{"instanceId"}) {
		t.Errorf("GENERIC_WORKER_INSTANCE_ID sets %v", got)
	}
	if got := variables["GENERIC_WORKER_LOCAL_QUEUE_DATA_DIR"]; !slices.Equal(got, []string{"localQueue", "dataDir"}) {
		t.Errorf("GENERIC_WORKER_LOCAL_QUEUE_DATA_DIR sets %v, of %v", got, slices.Sorted(maps.Keys(variables)))
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "token")
	if err := os.WriteFile(secret, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const file = `
rootURL: https://tc.example.com
clientId: c
accessToken: a
workerType: t
workerId: w
capacity: 2
idleTimeoutSecs: 60
localQueue: {listen: "127.0.0.1:1", dataDir: data}
workerTypeMetadata: {a: 1, b: {c: 2}}
`
	for _, test := range []struct {
		name    string
		environ string
		get     func(*Config) any
		want    any
	}{
		{"file over default", "", func(c *Config) any { return c.Worker.Capacity }, 2},
		{"environment over file", "GENERIC_WORKER_CAPACITY=3", func(c *Config) any { return c.Worker.Capacity }, 3},
		{"first of two", "GENERIC_WORKER_CAPACITY=3 GENERIC_WORKER_CAPACITY=4", func(c *Config) any { return c.Worker.Capacity }, 3},
		{"zero is a value", "GENERIC_WORKER_IDLE_TIMEOUT_SECS=0", func(c *Config) any { return c.Worker.IdleTimeout }, time.Duration(0)},
		{"boolean", "GENERIC_WORKER_CLEAN_UP_TASK_DIRS=false", func(c *Config) any { return c.CleanUpTaskDirs }, false},
		{"text that looks like a number", "GENERIC_WORKER_WORKER_ID=007", func(c *Config) any { return c.Worker.Identity.WorkerID }, "007"},
		{"text that looks like JSON", `GENERIC_WORKER_CERTIFICATE={"a":1}`, func(c *Config) any { return string(c.Credentials.Certificate) }, `{"a":1}`},
		{"empty text", "GENERIC_WORKER_WORKER_LOCATION=", func(c *Config) any { return c.Worker.WorkerLocation }, ""},
		{"text with =", "GENERIC_WORKER_WORKER_LOCATION=a=b", func(c *Config) any { return c.Worker.WorkerLocation }, "a=b"},
		{"local", "GENERIC_WORKER_ROOT_URL=local", func(c *Config) any { return c.Worker.RootURL }, LocalRootURL},
		{"one of an object", "GENERIC_WORKER_LOCAL_QUEUE_LISTEN=127.0.0.1:2", func(c *Config) any { return c.LocalQueue }, LocalQueue{"127.0.0.1:2", abs(t, "data")}},
		{"an object", `GENERIC_WORKER_LOCAL_QUEUE={"listen":"127.0.0.1:3"}`, func(c *Config) any { return c.LocalQueue }, LocalQueue{"127.0.0.1:3", abs(t, "data")}},
		{
			"one of an object over the object", `GENERIC_WORKER_LOCAL_QUEUE_LISTEN=127.0.0.1:4 GENERIC_WORKER_LOCAL_QUEUE={"listen":"127.0.0.1:3","dataDir":"x"}`,
			func(c *Config) any { return c.LocalQueue },
			LocalQueue{"127.0.0.1:4", abs(t, "x")},
		},
		{"free object", `GENERIC_WORKER_WORKER_TYPE_METADATA={"b":{"d":3}}`, func(c *Config) any {
			delete(c.Worker.Metadata, "generic-worker")
			return asJSON(c.Worker.Metadata)
		}, `{"a":1,"b":{"c":2,"d":3}}`},
		{"secret", "GENERIC_WORKER_ACCESS_TOKEN=b", func(c *Config) any { return string(c.Credentials.AccessToken) }, "b"},
		{"secret of a file", "GENERIC_WORKER_ACCESS_TOKEN_FILE=" + secret, func(c *Config) any { return string(c.Credentials.AccessToken) }, "from-file"},
		{"others are left alone", "GENERIC_WORKERS=1 CAPACITY=9", func(c *Config) any { return c.Worker.Capacity }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := load(t, write(t, "c.yml", file), strings.Fields(test.environ)...)
			if got := test.get(c); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	const file = "rootURL: https://tc.example.com\nclientId: c\nworkerType: t\nworkerId: w\n"
	for _, test := range []struct {
		name, content, want string // no secret is wanted where the file is refused
	}{
		{"plain", "secret", "secret"},
		{"newline", "secret\n", "secret"},
		{"carriage return", "secret\r\n", "secret"},
		{"only one newline", "secret\n\n", "secret\n"},
		{"blanks", " secret ", " secret "},
		{"largest", strings.Repeat("x", largestSecret), strings.Repeat("x", largestSecret)},
		{"too large", strings.Repeat("x", largestSecret+1), ""},
		{"empty", "", ""},
		{"not UTF-8", "\xff", ""},
		{"NUL", "a\x00b", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(write(t, "c.yml", file), []string{"GENERIC_WORKER_ACCESS_TOKEN_FILE=" + write(t, "token", test.content)})
			switch {
			case test.want == "" && err == nil:
				t.Error("the file was taken")
			case test.want != "" && err != nil:
				t.Errorf("Load: %v", err)
			case test.want != "" && string(c.Credentials.AccessToken) != test.want:
				t.Errorf("got %q", string(c.Credentials.AccessToken))
			case err != nil && strings.Count(err.Error(), "\n") > 0:
				t.Errorf("more than one sentence: %v", err)
			}
		})
	}
}
