// Package taskclusterproxy gives each task that asks for it a proxy of its own,
// which signs its requests.
//
// The proxy listens on the loopback addresses, under a port that only this task
// has, and is gone within a second after the task's last command. Its URL is in
// TASKCLUSTER_PROXY_URL. Package proxy says what it does with a request; here
// is decided who may make one:
//
//   - Each connection is judged once, when it is accepted: the process at its
//     far end has to be one of the task's, as far as the platform can tell.
//   - Host has to be that of the proxy or "taskcluster", so that no other name
//     that leads to this address can be used.
//   - Requests that a browser made for some page are refused.
package taskclusterproxy
