package cluster

// Permissions are the subjects that a user of NATS may publish to and subscribe to.
type Permissions struct{ Publish, Subscribe []string }

// WorkerPermissions are those of one worker: it writes records, results and signs of life under its own
// name, and reads the shards of its own pool.
func WorkerPermissions(pool, name string) Permissions {
	return Permissions{
		Publish: []string{
			"log." + pool + ".*.*." + name, "late." + pool + ".*.*." + name,
			beatSubject(pool, name), askSubject(pool, "*", name), freeSubject(pool, name),
			// What is read is named by the last part: the server refuses a consumer of other subjects.
			"$JS.API.CONSUMER.CREATE.*.*.log." + pool + ".>", "$JS.API.CONSUMER.CREATE.*.*.data." + pool + ".>", "$JS.FC.>",
			"$JS.API.CONSUMER.CREATE." + workStream + ".pool-" + pool + ".work." + pool + ".>",
			"$JS.API.CONSUMER.MSG.NEXT." + workStream + ".pool-" + pool, "$JS.ACK." + workStream + ".pool-" + pool + ".>",
		},
		Subscribe: []string{WorkerInbox(pool, name) + ".>", "who", controlSubject(pool, "*")},
	}
}

// CoordinatorPermissions are those of whoever starts, attaches to or looks at runs: it reads all, and
// writes no record in the name of a worker. Whoever may create and delete streams can still remove
// logs, or make one with other rules.
func CoordinatorPermissions() Permissions {
	return Permissions{
		Publish: []string{
			"log.*.*.*." + coordinatorName, "data.>", "work.>", "control.>", "who", askSubject("*", "*", coordinatorName), "_INBOX.w.>",
			"$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.DELETE.*", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.MSG.GET.*",
			"$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.DELETE.>", "$JS.API.CONSUMER.INFO.>", "$JS.API.CONSUMER.MSG.NEXT.>", "$JS.ACK.>", "$JS.FC.>",
		},
		Subscribe: []string{CoordinatorInbox + ".>", "beat.>", "ask.>", "free.>"},
	}
}
