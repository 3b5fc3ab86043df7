package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

// lender is a queue for stories that writes down what it is asked, and whose
// claims are short: its arguments are a NAME, the seconds that a claim and its
// credentials last, and what it refuses, each as ENDPOINT=STATUS, or what a role
// stands for, as assume:ROLE=SCOPE. Its address
// goes to NAME.url, and to NAME.calls a line for each answered request with
// endpoint, name and status, and one that begins with "wrong:" for whatever no
// worker should do.
func lender() {
	name := os.Args[1]
	seconds, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	lease := time.Duration(seconds) * time.Second
	queue, err := queuetest.NewFake(queuetest.FakeOptions{Lease: lease, CredentialsTTL: lease, LongPoll: time.Second})
	if err != nil {
		panic(err)
	}
	defer queue.Close()
	for _, fault := range os.Args[3:] {
		endpoint, status, _ := strings.Cut(fault, "=")
		if role, ok := strings.CutPrefix(endpoint, "assume:"); ok {
			queue.Role(role, status)
			continue
		}
		code, err := strconv.Atoi(status)
		if err != nil {
			panic(err)
		}
		queue.Inject(queuetest.Fault{Endpoint: endpoint, Kind: queuetest.FaultStatus, Status: code})
	}
	calls, err := os.Create(name + ".calls")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(name+".url", []byte(queue.URL), 0o600); err != nil {
		panic(err)
	}
	told := 0
	for {
		err := queue.WaitCalls(ctx, func(all []queuetest.Call) bool {
			return len(all) > told && all[told].Took != 0
		})
		if err != nil {
			break
		}
		for _, call := range queue.Calls()[told:] {
			if call.Took == 0 {
				break
			}
			fmt.Fprintln(calls, call.Endpoint, call.Name, call.Status)
			told++
		}
	}
	for _, call := range queue.Calls()[told:] {
		fmt.Fprintln(calls, call.Endpoint, call.Name, call.Status)
	}
	for _, violation := range slices.Compact(queue.Violations()) {
		fmt.Fprintln(calls, "wrong:", violation)
	}
}
