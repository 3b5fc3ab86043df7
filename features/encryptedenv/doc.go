// Package encryptedenv gives a task variables that only the worker could read.
//
// Each item of the payload's encryptedEnv is an OpenPGP message to a key of the
// worker, in base64. In it is a JSON object:
//
//	{
//	  "messageVersion": 1,
//	  "taskId": "the only task that may have the variable",
//	  "startTime": 1418146006679,
//	  "endTime": 1418146036679,
//	  "name": "SECRET_TOKEN",
//	  "value": "the secret"
//	}
//
// messageVersion is 1 or "1". Times are milliseconds since 1970, fractions
// allowed; the variable is there for tasks whose execution starts between them,
// both included. All members are required, and there are no others, none twice.
//
// Whatever is wrong with an item is the author's to mend: the task is
// malformed, and its log names the item and the rule, and never a value. All
// items are judged before any variable is set. Messages that were altered all
// get the same text, in which nothing tells where decrypting failed, after a
// time that does not tell either. Of a variable for another task even the name
// is kept.
//
// The items say nothing about who made them. Everyone who has the public key
// can make one for a task of his own, and one that was made for a task is good
// for each of its runs.
package encryptedenv
