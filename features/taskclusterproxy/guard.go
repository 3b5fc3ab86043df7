package taskclusterproxy

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/taskcluster/generic-worker/proxy"
)

// hostName is the name by which tasks have always known their proxy.
const hostName = "taskcluster"

// hostsOf returns what Host may be.
func hostsOf(port int) map[string]bool {
	hosts := map[string]bool{hostName: true}
	for _, name := range []string{hostName, "localhost", "127.0.0.1", "::1"} {
		hosts[net.JoinHostPort(name, strconv.Itoa(port))] = true
	}
	if port == 80 {
		hosts["localhost"], hosts["127.0.0.1"], hosts["[::1]"] = true, true, true
	}
	return hosts
}

// serve refuses what did not come straight from a program of the task.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		panic(http.ErrAbortHandler) // as the connection is about to be
	}
	defer s.serving.Done()
	site := r.Header.Values("Sec-Fetch-Site")
	switch {
	case !s.hosts[strings.ToLower(r.Host)]:
		proxy.Refuse(w, http.StatusForbidden, "WrongHost", "the host of the request is "+strconv.Quote(r.Host)+
			"; use the URL in TASKCLUSTER_PROXY_URL, or the host taskcluster")
	case len(r.Header.Values("Origin")) > 0 || len(site) > 0 && (len(site) > 1 || site[0] != "none"):
		proxy.Refuse(w, http.StatusForbidden, "NotForBrowsers", "the request was made for a page in a browser; make it from a program, without Origin and Sec-Fetch-Site")
	default:
		s.handler.ServeHTTP(w, r)
	}
}
