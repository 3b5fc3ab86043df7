package config

import (
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/taskcluster/generic-worker/internal/mask"
)

// check notes what no schema can say: what must be there because of something
// else, and values that cannot work.
func (s *sources) check(set settings) {
	if s.readable() {
		s.checkRequired(set)
	}
	s.checkRootURL(set.RootURL)
	s.checkCertificate(set.Certificate)
	s.checkEngine(set.Engine)
	s.checkPayloads(set)
	for _, name := range []string{"publicIP", "privateIP"} {
		s.checkAddress(name)
	}
	if set.RootURL == LocalRootURL {
		s.checkListen(set.LocalQueue.Listen)
	}
	s.checkDirectories(set)
	s.checkTelemetry(set)
	s.checkPorts(set)
}

// checkTelemetry checks where the worker is shown to its operators.
func (s *sources) checkTelemetry(set settings) {
	if _, _, err := net.SplitHostPort(set.MetricsAddress); set.MetricsAddress != "" && err != nil {
		s.complain("/metricsAddress", "is no host and port", `write for example "127.0.0.1:9252"`)
	}
	to, err := url.Parse(set.TracesURL)
	if set.TracesURL != "" && (err != nil || to.Host == "" || (to.Scheme != "http" && to.Scheme != "https")) {
		s.complain("/tracesURL", "is no http or https URL", `write for example "http://127.0.0.1:4318/v1/traces"`)
	}
}

// readable is false if there is a file of which nothing is known.
func (s *sources) readable() bool { return s.path == "" || s.file != nil }

func (s *sources) checkRequired(set settings) {
	if set.RootURL == "" {
		s.require("rootURL", "", "write the root URL of a Taskcluster deployment, or local for the queue that is part of this program")
		return
	}
	if set.RootURL == LocalRootURL {
		return
	}
	s.require("clientId", set.ClientID, "write the client id of the worker's credentials")
	s.require("accessToken", string(set.AccessToken), "write the access token of the worker's credentials, "+
		"or set GENERIC_WORKER_ACCESS_TOKEN_FILE to a file that holds it")
	s.require("workerType", set.WorkerType, "write the second half of the worker pool's name")
	s.require("workerId", set.WorkerID, "write a name that no other worker of this workerGroup has")
}

func (s *sources) require(name, value, remedy string) {
	if value != "" {
		return
	}
	what := "is missing"
	if _, given := s.settings[name]; given {
		what = "must not be empty"
	}
	s.complain("/"+name, what, remedy)
}

func (s *sources) checkRootURL(text string) {
	if text == "" || text == LocalRootURL {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		s.complain("/rootURL", "must be local, or a URL that begins with https:// or http://", "write for example https://tc.example.com")
	case u.User != nil:
		s.complain("/rootURL", "has a user name in it", "remove it; credentials go to clientId and accessToken")
	}
}

func (s *sources) checkCertificate(text mask.Secret) {
	if text == "" {
		return
	}
	var certificate map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &certificate) != nil {
		s.complain("/certificate", "must be a JSON object in a string", "copy the whole certificate, or leave it out for permanent credentials")
	}
}

func (s *sources) checkEngine(engine string) {
	if engine != insecure {
		s.complain("/engine", "is "+engine+", which this build does not have", "write insecure, or use a build that has the engine")
	}
}

// insecure is the engine of this build.
const insecure = "insecure"

func (s *sources) checkPayloads(set settings) {
	switch {
	case set.DockerPayloads == "sandbox":
		s.complain("/dockerPayloads", "is sandbox, which is not offered yet", "write native to run such commands without their image, or refuse")
	case set.DockerPayloads == "refuse" && set.DisableNativePayloads:
		s.complain("/disableNativePayloads", "leaves no task to take, as dockerPayloads is refuse", "remove one of the two")
	}
}

func (s *sources) checkAddress(name string) {
	text, _ := s.settings[name].(string)
	if text == "" {
		return
	}
	if _, err := netip.ParseAddr(text); err != nil {
		s.complain("/"+name, "must be an IP address", "write for example 192.0.2.1, or leave it out")
	}
}

func (s *sources) checkListen(listen string) {
	_, port, err := net.SplitHostPort(listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		s.complain("/localQueue/listen", "must be an address and a port from 0 to 65535", "write for example 127.0.0.1:8080")
	}
}

// checkDirectories sees to it that cleaning up after tasks cannot reach what
// the worker must keep.
func (s *sources) checkDirectories(set settings) {
	tasks := absolute(set.TasksDir)
	kept := map[string]string{"/stateDir": set.StateDir}
	for pointer, file := range map[string]string{
		"/ed25519SigningKeyLocation": set.Ed25519SigningKey, "/openpgpSigningKeyLocation": set.OpenPGPSigningKey,
	} {
		if file != "" {
			kept[pointer] = file
		}
	}
	if set.RootURL == LocalRootURL {
		kept["/localQueue/dataDir"] = set.LocalQueue.DataDir
	}
	for pointer, dir := range kept {
		if within(absolute(dir), tasks) {
			s.complain(pointer, "is in tasksDir, where directories are deleted", "give them separate directories")
		}
	}
}

// within tells whether a path is a directory or below it.
func within(path, dir string) bool {
	relative, err := filepath.Rel(dir, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}
