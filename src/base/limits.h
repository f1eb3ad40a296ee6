/* SPDX-License-Identifier: Apache-2.0 */
/* Every maximum of the program, in one place. Sizes are bytes unless the name says otherwise. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include <stdint.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

#define LIMIT_DURATION_S UINT64_C(3153600000) /* a hundred years */

/* HTTP server */
#define LIMIT_HTTP_HEAD (32 * KIB)       /* request line and headers together */
#define LIMIT_HTTP_HEADERS 100           /* header fields in one request */
#define LIMIT_HTTP_CHUNK_LINE 256        /* chunk size line, extensions included */
#define LIMIT_HTTP_TRAILERS (8 * KIB)    /* trailer section of a chunked body */
#define LIMIT_HTTP_CONNECTIONS 10000     /* open connections per server */
#define LIMIT_HTTP_HEAD_MS 10000         /* first byte of a request to the end of its head */
#define LIMIT_HTTP_IDLE_MS 75000         /* keep-alive connection without a request */
#define LIMIT_HTTP_BODY_GRACE_MS 10000   /* over which a body's rate is judged, each time */
#define LIMIT_HTTP_BODY_RATE 1024        /* slowest accepted body, bytes a second, */
#define LIMIT_HTTP_LARGE_RATE (32 * KIB) /* and one of which more is held in memory than */
#define LIMIT_HTTP_SMALL (64 * KIB)     /* this; smaller ones have room when others fill the rest */
#define LIMIT_HTTP_SEND_STALL_MS 30000  /* a peer that reads nothing of its answer */
#define LIMIT_HTTP_DISCARD (64 * KIB)   /* unread body thrown away to keep a connection */
#define LIMIT_HTTP_LINGER_MS 2000       /* after an early answer, before the close */
#define LIMIT_HTTP_PROBE_MS 500         /* of a request, then is looked whether its client left */
#define LIMIT_HTTP_WINDOW (256 * KIB)   /* body or answer bytes buffered per connection */
#define LIMIT_TLS_RECORDS 64            /* that bring no data, one after the other */
#define LIMIT_HTTP_RESERVED (4 * MIB)   /* of the next, for bodies of at most LIMIT_HTTP_SMALL */
#define LIMIT_HTTP_COLLECTED (64 * MIB) /* bodies held whole in memory, all of a server's */
#define LIMIT_HTTP_REPLY (256 * MIB)    /* body made whole in memory; larger are files or sources */
#define LIMIT_HTTP_REFUSALS 64 /* connections over the limit told so; more are just closed */
#define LIMIT_HTTP_REQUEST_ID 128
#define LIMIT_TLS_PEM (256 * KIB) /* a certificate with those in between, or a key */
#define LIMIT_HTTP_LOOPS 64       /* event loops, one per core */
#define LIMIT_DRAIN_MS 20000      /* SIGTERM: open requests get this long */

/* API */
#define LIMIT_API_BODY (1 * MIB)
#define LIMIT_JSON_DEPTH 64
#define LIMIT_JSON_VALUES 10000      /* in one resource, or another object of a request, */
#define LIMIT_DOCUMENT_VALUES 250000 /* and in a YAML document, which may be a list of them */
#define LIMIT_ERROR_TEXT 512
#define LIMIT_API_ANSWER (256 * KIB)    /* one resource, or an error */
#define LIMIT_API_DESCRIPTION (1 * MIB) /* /openapi.json, and /docs */
#define LIMIT_CHANGES 10000             /* in one change set: its record fits LIMIT_RECORD */
#define LIMIT_CHANGES_BODY (16 * MIB)
#define LIMIT_LARGE_BODIES (LIMIT_HTTP_COLLECTED / 2) /* all those over LIMIT_API_BODY */
#define LIMIT_DECODE_HERE (64 * KIB)                  /* bodies decoded on the event loop itself, */
#define LIMIT_DECODERS 2                              /* and threads that decode the others */
#define LIMIT_CHANGES_ANSWER (64 * MIB)               /* with the differences that they make */
#define LIMIT_CHANGES_ANSWERS (256 * MIB) /* all that are sent at a time; more must wait, */
#define LIMIT_CHANGES_MADE (128 * MIB)    /* beside those of changes that were made */
#define LIMIT_IDEMPOTENCY_KEY 255         /* characters */
#define LIMIT_IDEMPOTENCY_KEYS 1000       /* change sets whose key is remembered, */
#define LIMIT_IDEMPOTENCY_S 86400         /* and for how long */
#define LIMIT_SETS 64                     /* change sets that wait for the writer */
#define LIMIT_PERMITS 1000                /* namespaces and actions asked about for one change */
#define LIMIT_SELECTOR_TERMS 64           /* of a label selector, */
#define LIMIT_SELECTOR_VALUES 256         /* and the values in them */
#define LIMIT_CHANGE_TRIES 4 /* a change made of what is current by then is not each time */

/* Intent: what Kubernetes accepts (API conventions, apimachinery/pkg/util/validation) */
#define LIMIT_NAME 63
#define LIMIT_REGION 256
#define LIMIT_LABELS 64
#define LIMIT_LABELS_TEXT (8 * KIB) /* all keys and values: 5,000 resources still fit a layer */
#define LIMIT_LABEL_PREFIX 253
#define LIMIT_LABEL_VALUE 63 /* or the name in a key, after the prefix and a slash */
#define LIMIT_LABEL_KEY (LIMIT_LABEL_PREFIX + 1 + LIMIT_LABEL_VALUE)
#define LIMIT_REPLICAS_MIN 1
#define LIMIT_REPLICAS 10
#define LIMIT_NAMESPACES 1000
#define LIMIT_INTENT_YAML (64 * KIB) /* one rendered PlatformResource */

/* Identity and permission */
#define LIMIT_SUBJECT 384           /* a name or group, with the prefix of its method */
#define LIMIT_GROUPS 200            /* of one subject */
#define LIMIT_CREDENTIAL (16 * KIB) /* a token, as it comes */
#define LIMIT_TOKEN_ROWS 10000      /* API tokens in the file */
#define LIMIT_TOKEN_FILE (8 * MIB)
#define LIMIT_POLICY_RULES 10000
#define LIMIT_CLOCK_SKEW_S 60  /* between an issuer's clock and ours */
#define LIMIT_JWKS (256 * KIB) /* one document of keys */
#define LIMIT_JWKS_KEYS 100
#define LIMIT_JWKS_MS 5000       /* each of the two requests for them */
#define LIMIT_JWKS_AGAIN_S 10    /* between two fetches because of an unknown kid */
#define LIMIT_JWKS_FRESH_S 300   /* then keys are fetched again */
#define LIMIT_JWKS_STALE_S 86400 /* without an answer, then they count no more */
#define LIMIT_JWKS_WAITING 1024  /* tokens that wait for keys */
#define LIMIT_REVIEW_S 30        /* how long an answer of Kubernetes counts: a revoked token, too */
#define LIMIT_REVIEW_NO_S 5      /* likewise, a refusal */
#define LIMIT_REVIEWS 8192       /* of them in memory */
#define LIMIT_REVIEWS_WAITING 1024   /* questions to Kubernetes, */
#define LIMIT_REVIEWS_PARALLEL 16    /* and those sent: Flux's wakes go the same way */
#define LIMIT_REVIEW_MS 10000        /* for an answer of Kubernetes, or of who it asks */
#define LIMIT_REVIEWED_S 600         /* how long its word on who it is holds for a stream */
#define LIMIT_RATE 1000000           /* requests a second of one subject */
#define LIMIT_LOGIN_BURST 20         /* credentials of one address that may fail at once, */
#define LIMIT_LOGIN_PER_MINUTE 20    /* and then so many a minute */
#define LIMIT_REGISTRY_TOKEN_S 300   /* a token of the registry's /token */
#define LIMIT_REGISTRY_SUBJECTS 4096 /* that have one */
#define LIMIT_REGISTRY_SEATS 4       /* of one name: with other groups, or by another API token */
#define LIMIT_REGISTRY_SCOPES 32     /* in one of them */
#define LIMIT_TOKEN_FORM (64 * KIB)  /* a request for one */
#define LIMIT_CATALOG_STEPS 4096     /* queries for a page of _catalog, where most is hidden, */
#define LIMIT_CATALOG_QUESTIONS 32   /* and namespaces that somebody else is asked about for it */
#define LIMIT_AUDIT_LINE (16 * KIB)  /* one change, as JSON */
#define LIMIT_REASON 1000            /* X-Change-Reason, and why a store is frozen */

/* Signatures */
#define LIMIT_KEY_FILE (64 * KIB)  /* PEM */
#define LIMIT_SIGN_KEYS 16         /* public keys that count at one time */
#define LIMIT_SIGNATURE (16 * KIB) /* each blob and manifest of one, as we write it, */
#define LIMIT_SIGNATURE_LAYERS 100 /* and signatures in one manifest, as we read it */

/* Catalog: Flux stores the inventory of one catalog in one etcd object */
#define LIMIT_CATALOG_RESOURCES 5000
#define LIMIT_CATALOG_WARN 1000
#define LIMIT_CATALOG_LAYER (64 * MIB)
#define LIMIT_CATALOG_TAR (256 * MIB)
#define LIMIT_PAGE 24 /* intents in one page: pages average 15 */
/* The root holds as many objects as any other catalog may, and Flux applies them all again, at
 * 4-7 ms an object, whenever a catalog is added: two for each catalog, and with accounts two for
 * each namespace. */
#define LIMIT_ROOT_OBJECTS LIMIT_CATALOG_RESOURCES
#define LIMIT_ROOT_CATALOGS (LIMIT_ROOT_OBJECTS / 2)
#define LIMIT_LAYOUT_CATALOGS LIMIT_ROOT_CATALOGS /* of one namespace */
#define LIMIT_SECRET_NAME 253
#define LIMIT_ROOT_FILE (4 * KIB) /* the objects of one catalog in the root */
#define LIMIT_HOLD_MESSAGE 1000
#define LIMIT_STATE_TEXT (64 * MIB) /* names and digests of all catalogs, to be hashed */
#define LIMIT_RECORD (4 * MIB)
#define LIMIT_VERSION UINT64_C(253402300799999999) /* microseconds: the last of the year 9999 */

/* OCI (distribution-spec) */
#define LIMIT_REPOSITORY 255
#define LIMIT_PREFIX 103   /* leaves room for gitops-squared/resources/<namespace>/<name> */
#define LIMIT_LOCATION 383 /* host, port and prefix of a registry */
#define LIMIT_TAG 128
#define LIMIT_MANIFEST (4 * MIB)
#define LIMIT_DESCRIPTORS 10000 /* layers or manifests in one manifest */

/* Publishing */
#define LIMIT_QUEUE 10000          /* changes waiting for the writer */
#define LIMIT_STEPS 64             /* commits without changes that wait: freezes and such */
#define LIMIT_BATCH 512            /* changes in one commit */
#define LIMIT_GATHER_US 10000      /* longest wait for a batch to grow as large as the last */
#define LIMIT_VERSION_RETRIES 1000 /* version numbers tried past debris */
#define LIMIT_RESTORE_WAIT_MS 5000 /* longest wait between tries to read the registry */
#define LIMIT_EXPIRY_VERSIONS 4096 /* of one repository, looked at together: the oldest */
#define LIMIT_EXPIRY_OTHERS 256    /* tags beside versions, of a repository that loses tags */
#define LIMIT_KEEP_VERSIONS 1000
#define LIMIT_KEEP_DAYS 36500
#define LIMIT_RETENTION_REQUEST_MS 5000 /* to a remote registry: a stop waits for it */
#define LIMIT_PULLS 256             /* catalogs or artifacts held in memory as they were pulled */
#define LIMIT_CHAIN_PULLS 64        /* likewise, commit records */
#define LIMIT_HISTORY_PAGE 500      /* versions or records in one page of history, */
#define LIMIT_HISTORY_LOOKS 5000    /* and records that are read for one, */
#define LIMIT_HISTORY_CHANGES 20000 /* which has no more records once they name so many changes */
#define LIMIT_HISTORY_CACHED 16     /* lists of what changed between two commits, */
#define LIMIT_HISTORY_CACHED_NAMES 200000 /* the resources in all of them, */
#define LIMIT_HISTORY_CACHED_MS 20000     /* and for how long */
#define LIMIT_DIFF (512 * KIB)            /* text of one difference, */
#define LIMIT_DIFF_LINES 1000             /* lines of a text that is compared */
#define LIMIT_READERS 2                   /* threads that read history from the registry */
#define LIMIT_READER_QUEUE 256            /* requests that wait for one of them, */
#define LIMIT_READER_SHARE 8              /* and those of one subject */
#define LIMIT_TRACE 100000         /* records read back to find what a catalog's tag should name */
#define LIMIT_FINDING (2 * KIB)    /* text of one difference */
#define LIMIT_FSCK_ROUNDS 5        /* how often a difference is looked at again */
#define LIMIT_FSCK_SETTLE_MS 1000u /* between looks: a server finishes its commit */
#define LIMIT_FSCK_VERSIONS 16     /* of a deleted resource, among which is its tombstone */
#define LIMIT_ADOPT 1000000        /* resources taken over from a cluster */
#define LIMIT_PRUNE 5              /* resources of a namespace that may go without a question */

/* Cluster */
#define LIMIT_KUBE_TICK_MS 50
#define LIMIT_KUBE_BACKOFF_MS 10000u /* longest pause before a watch is tried again */
#define LIMIT_KUBE_PAGE 500          /* objects in one page of a list */
#define LIMIT_KUBE_ANSWER (64 * MIB) /* one answer; a page of large objects */
#define LIMIT_KUBE_EVENT (4 * MIB)   /* one event of a watch; etcd holds objects of 1.5 MiB */
#define LIMIT_KUBE_WATCH_S 300       /* one watch request; then the next goes on from there */
#define LIMIT_KUBE_SILENCE_S 90      /* of a watch, then it is begun anew; most have bookmarks */
#define LIMIT_KUBE_PARALLEL 32       /* requests at one time, watches included */
#define LIMIT_CLUSTER_LOST_MS 10000  /* without a watch, then phases are unknown */
#define LIMIT_CLUSTER_FIRST_MS 10000 /* start-up waits for the cluster's first answer */
#define LIMIT_WAKE_MS 5000           /* Flux has not answered a wake by then: the next may go */
#define LIMIT_TRACKED_COMMITS 64     /* of one catalog, that Flux may be at */
#define LIMIT_FLUX_MESSAGE 1023      /* of a condition; the rest is cut off */
#define LIMIT_TRACKER_EVENT (16 * KIB)
#define LIMIT_STATUS_OBJECT \
	(16 * KIB)                  /* .status of an object in the cluster; larger is left out \
				     */
#define LIMIT_FEED_EVENTS 16384     /* that can be resumed from */
#define LIMIT_FEED_BYTES (16 * MIB) /* all of them together */
#define LIMIT_WAIT_S 300            /* ?timeout= of a request that waits */
#define LIMIT_WATCHERS 4000 /* streams of events, which never end: others need connections too */
#define LIMIT_WAITS 4000    /* requests that wait for the cluster; more are answered at once */
#define LIMIT_WATCH_HEARTBEAT_S 15 /* a watcher hears something at least so often */
#define LIMIT_LAYOUT_POLL_MS 1000  /* between two looks at how far a repartition is */
#define LIMIT_WATCH_ID 64          /* characters of an event's id, as a client gives it back */
#define LIMIT_WATCH_GATHER_MS 5    /* pause after watchers were woken: events come in bursts */

/* Remote registry */
#define LIMIT_PARALLEL_TRANSFERS 64 /* a registry that is far away is waited for, not busy */
#define LIMIT_RETRIES 4
#define LIMIT_RETRY_AFTER_MS 10000
#define LIMIT_CONNECT_MS 5000
#define LIMIT_REQUEST_MS 30000
#define LIMIT_KEEPALIVE_IDLE_S 15    /* of a silent connection, until it is probed, */
#define LIMIT_KEEPALIVE_INTERVAL_S 5 /* and then so often */
#define LIMIT_PAGES 10000            /* Link pages followed in one listing */
#define LIMIT_TOKEN (64 * KIB)
#define LIMIT_TOKENS 1024 /* scopes: one per repository and source of its mounts */
#define LIMIT_REDIRECTS 5
#define LIMIT_BACKOFF_MS 5000u /* longest wait between tries that the registry did not ask for */
#define LIMIT_LISTING \
	(16 * MIB) /* one page: some registries send a listing whole, however long \
		    */
#define LIMIT_ORDERED_TAGS (64 * MIB) /* text of a listing that has to be sorted here */

/* Embedded registry */
#define LIMIT_FILE_CHUNK (256 * KIB)   /* a blob file is read in */
#define LIMIT_VERIFIED_FILES 32768     /* blob files remembered as undamaged */
#define LIMIT_COLLECTED_S (7 * 86400)  /* garbage is remembered, against late pushes */
#define LIMIT_VERIFY_TEXT (64 * KIB)   /* problems listed; the others are counted */
#define LIMIT_BLOB_IN_ROW (64 * KIB)   /* larger blobs are files */
#define LIMIT_UPLOADS 4096             /* open upload sessions, */
#define LIMIT_UPLOADS_OF_ONE 512       /* and those of one subject */
#define LIMIT_UPLOADS_HEADS (8 * MIB)  /* longer heads of idle uploads in memory, all together */
#define LIMIT_UPLOADS_FILES 256        /* files that idle uploads keep open */
#define LIMIT_UPLOAD_IDLE_MS 3600000   /* then an upload may make room for another */
#define LIMIT_UPLOAD_CHUNK (256 * KIB) /* body bytes handed to a worker at a time */
#define LIMIT_RUN_HERE (4 * KIB)       /* bodies hashed and parsed on the event loop itself */
/* Of an idle upload, in memory whatever the others hold: a loop must not wait for a file. */
#define LIMIT_UPLOAD_HEAD LIMIT_RUN_HERE
#define LIMIT_WAL_PIECE (64 * KIB) /* of the WAL, written at once; SQLite writes less than 128 */
#define LIMIT_GROUP 256            /* outside writes in one transaction */
#define LIMIT_LIST_PAGE 1000
#define LIMIT_CACHED_PAGES 256             /* of _catalog */
#define LIMIT_CACHED_PAGE_BYTES (16 * MIB) /* all of them together */
#define LIMIT_WORKER_QUEUE 20000
#define LIMIT_LAYOUT_INDEX (256 * MIB)        /* index.json of an image layout to import, */
#define LIMIT_LAYOUT_INDEX_LIVE (32 * MIB)    /* and in a running server */
#define LIMIT_LAYOUT_BATCH (16 * MIB)         /* what an import holds for its next transaction */
#define LIMIT_LAYOUT_DEPTH 16                 /* indexes below indexes */
#define LIMIT_JOB_QUEUE 64                    /* upkeep jobs that wait */
#define LIMIT_JOB_REPORT (96 * KIB)           /* verification's text and the lines around it */
#define LIMIT_JOB_MS (20u * 24 * 3600 * 1000) /* a command waits for its job */

/* Log and metrics */
#define LIMIT_LOG_LINE (16 * KIB)
#define LIMIT_LOG_VALUE (2 * KIB) /* one value, as it stands in the line; the rest is cut off */
#define LIMIT_LOG_HELD 4096       /* of a thread's lines that wait to be written: PIPE_BUF */
#define LIMIT_LOG_PATH 256        /* of a request's path, */
#define LIMIT_LOG_METHOD 32       /* and of its method */
#define LIMIT_METRICS (4 * MIB)

/* Files read whole */
#define LIMIT_CONFIG_FILE (1 * MIB)

/* Command line */
#define LIMIT_CLIENT_ANSWER (256 * MIB) /* one answer, as a client takes it */
#define LIMIT_CLIENT_PAGE 500           /* of a list that it reads to its end */
#define LIMIT_CLIENT_EVENT (1 * MIB)    /* one event of a watch, as a client takes it, */
#define LIMIT_CLIENT_SILENCE_MS 45000   /* and the longest silence there */
#define LIMIT_CLIENT_AGAIN_MS 2000      /* until it connects again */
#define LIMIT_CLIENT_TICK_MS 100        /* it looks so often whether Ctrl-C was typed */
#define LIMIT_CONTEXTS 1000             /* servers that it knows */
#define LIMIT_CONTEXT_NAME 253
#define LIMIT_HELP (1 * MIB)         /* a page of the manual */
#define LIMIT_INPUT_FILE (256 * MIB) /* one with resources, for the command line */

#endif
