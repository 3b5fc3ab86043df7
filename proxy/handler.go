package proxy

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are how requests are signed and where they go. All but RootURL and
// Credentials have defaults.
type Options struct {
	RootURL string
	// Scopes are all that a signature is good for.
	Scopes []string
	// Credentials returns those of this moment. It is asked for every request
	// and concurrently. After an error the request is refused: the task is over.
	Credentials func() (Credentials, error)
	// Observe is given the body of each successful answer to a GET of the
	// secrets service, if it has at most 4 MiB, before the task gets any of it.
	// path is what follows the service's name, as in "/v1/secret/name".
	Observe func(path string, body []byte)

	Services http.RoundTripper // to the root URL; by default one of NewServices
	Others   http.RoundTripper // to hosts by name; by default one of NewTransport

	Version, Revision string        // of the program, for the headers; "" if unknown
	Stall             time.Duration // how long a request may make no progress; 5 minutes by default
	Log               *slog.Logger  // speaks to the operator; nil is silence
}

// Handler passes requests on. It is safe for concurrent use and keeps nothing
// between them but connections. Use New.
type Handler struct {
	options Options
	root    root
	buffers buffers
	errors  *log.Logger
	signer  atomic.Pointer[signer] // of the newest credentials
}

const defaultStall = 5 * time.Minute

// New returns a handler. The error is about the root URL.
func New(options Options) (*Handler, error) {
	r, err := newRoot(options.RootURL)
	if err != nil {
		return nil, err
	}
	if options.Services == nil {
		options.Services = NewServices(options.RootURL)
	}
	if options.Others == nil {
		options.Others = NewTransport(true)
	}
	if options.Stall == 0 {
		options.Stall = defaultStall
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		options: options, root: r,
		errors: slog.NewLogLogger(options.Log.Handler(), slog.LevelDebug),
	}, nil
}

// ServeHTTP passes one request on, or says why not.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The server would guess what an answer does not say.
	w.Header()["Content-Type"], w.Header()["Date"] = nil, nil
	s, err := h.current()
	if err != nil {
		h.options.Log.Info("a request of the task was refused", "error", err)
		Refuse(w, http.StatusForbidden, "TaskIsOver", "there are no credentials to sign with: the task is over or ending")
		return
	}
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace || !strings.HasPrefix(r.RequestURI, "/") {
		Refuse(w, http.StatusBadRequest, "InvalidTarget", "this is no proxy of the kind that http_proxy names; "+forms)
		return
	}
	if isBewit(r.RequestURI) {
		h.bewit(w, r, s)
		return
	}
	t, err := h.root.resolve(r.RequestURI)
	if err != nil {
		explain(w, r, t, err)
		return
	}
	h.forward(w, r, t, s)
}

// current returns a signer with the credentials of this moment.
func (h *Handler) current() (*signer, error) {
	credentials, err := h.options.Credentials()
	if err != nil {
		return nil, err
	}
	if s := h.signer.Load(); s != nil && s.from == credentials {
		return s, nil
	}
	s, err := newSigner(credentials, h.options.Scopes)
	if err != nil {
		return nil, err
	}
	h.signer.Store(s)
	return s, nil
}

func (h *Handler) forward(w http.ResponseWriter, r *http.Request, t target, s *signer) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	moving := h.watch(w, cancel)
	defer moving.stop()
	r = r.WithContext(ctx)
	r.Header.Del("Upgrade") // without it nobody switches protocols
	sent := &sentBody{moving: moving}
	observed := h.observes(r.Method, t)
	transport := h.options.Services
	if t.external {
		transport = h.options.Others
	}
	(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			prepare(p, t, s, observed)
			sent.replace(p.Out)
		},
		Transport:  &retrier{to: transport, sent: sent},
		BufferPool: &h.buffers,
		ErrorLog:   h.errors,
		ModifyResponse: func(answer *http.Response) error {
			answer.Body = &receivedBody{ReadCloser: answer.Body, moving: moving}
			if observed && answer.StatusCode == http.StatusOK {
				h.observe(answer, t)
			}
			h.describe(answer.Header, t, s)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { explain(w, r, t, err) },
	}).ServeHTTP(w, r)
}

// prepare makes the request that is sent.
func prepare(p *httputil.ProxyRequest, t target, s *signer, observed bool) {
	p.Out.URL, p.Out.Host = t.url(), t.host
	p.Out.Header.Set("Authorization", s.header(p.Out.Method, t))
	p.Out.Trailer = p.In.Trailer // filled in when the body has been read
	if p.Out.Body != nil && t.service != "" && len(p.In.Header["Content-Type"]) == 0 {
		p.Out.Header.Set("Content-Type", "application/json")
	}
	if observed { // in one readable piece
		p.Out.Header.Del("Accept-Encoding")
		p.Out.Header.Del("Range")
	}
}

// describe adds the headers for people who look for what went wrong.
func (h *Handler) describe(header http.Header, t target, s *signer) {
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			header.Del(name)
		}
	}
	for name, values := range s.headers {
		header[name] = values
	}
	if endpoint := t.scheme + "://" + t.host + t.requestURI(); len(endpoint) <= mostShown {
		header["X-Taskcluster-Endpoint"] = []string{endpoint}
	}
	header["X-Taskcluster-Proxy-Version"] = []string{h.options.Version}
	if h.options.Revision != "" {
		header["X-Taskcluster-Proxy-Revision"] = []string{h.options.Revision}
	}
}

// mostObserved bounds the answers that are held back until they were looked at.
const mostObserved = 4 << 20

func (h *Handler) observes(method string, t target) bool {
	return h.options.Observe != nil && method == http.MethodGet && t.service == "secrets"
}

// observe shows the whole body before any of it is passed on. One that is too
// large, or breaks off, is passed on unseen.
func (h *Handler) observe(answer *http.Response, t target) {
	var read strings.Builder
	_, err := io.Copy(&read, io.LimitReader(answer.Body, mostObserved+1))
	after := io.Reader(answer.Body)
	switch {
	case err != nil:
		after = errReader{err}
	case read.Len() > mostObserved:
		h.options.Log.Warn("an answer of the secrets service is too large to be looked at; what is in it will not be masked", "limit", mostObserved)
	default:
		h.options.Observe(t.rest, []byte(read.String()))
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(read.String()), after), answer.Body}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// buffers are for copying bodies.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get returns a buffer.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferSize)
}

// Put takes a buffer back.
func (b *buffers) Put(buffer []byte) {
	if len(buffer) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(buffer))
	}
}

// ErrOver is what Options.Credentials returns when the task has ended.
var ErrOver = errors.New("the task is over")
