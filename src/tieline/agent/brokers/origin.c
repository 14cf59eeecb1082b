/* A Mosquitto plugin (interface version 5) that tells the subscribers who published a message: it appends the user
 * properties "id", "peerhost", "clientid" and, where the client has one, "username" behind whatever the client sent
 * itself. The id is the message's own: it stays the same however often the message is delivered.
 *
 * It also keeps a gate: until the file of the option "gate" exists nobody is let in but the user of the option "agent".
 * Mosquitto 2.0 forgets shared subscriptions when it ends, so that what devices publish after a start, and before the
 * agent has subscribed again, would reach nobody.
 *
 * Client ids that begin with the option "reserved" are the agent's: whoever had one would take over its session, and
 * receive what the rules are to receive. Nobody else is let in with one, nobody else joins a shared subscription whose
 * group begins like that, and of what the agent publishes itself the client id is told as "reserved" alone: the rest of it
 * is the agent's secret.
 *
 * Who has no user is let in by the listeners alone that the file of the option "anonymous" names, by port and "websocket".
 * A client by WebSocket comes from the agent, which has looked at the page's
 * origin: where the client is, stands in the file whose descriptor is the option "peers", by the last two numbers of the
 * address that the agent connects from. Who connects from elsewhere came past the agent, and is not let in. */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>

#define INTERFACE_VERSION 5
#define SHARED "$share/" /* before the group of a shared subscription (MQTT 5, 4.8.2) */
#define MAPPED "::ffff:" /* before an IPv4 address where the broker listens for both */
#define SOURCE (127 << 8 | 77) /* the first two numbers of the addresses that the agent connects from */
#define PEER_SIZE 64 /* bytes of an address in the file of peers, the rest of them zero */

static mosquitto_plugin_id_t *self;
static uint64_t life; /* of this broker process: its start in nanoseconds, which no other life of it shares */
static uint64_t count;
static const char *gate;
static const char *agent;
static const char *reserved;
static const char *anonymous;
static int peers = -1;
static bool is_open;

static int append_id(mosquitto_property **properties)
{
	char text[2 * 16 + 1];

	snprintf(text, sizeof text, "%016llX%llX", (unsigned long long)life, (unsigned long long)++count);
	return mosquitto_property_add_string_pair(properties, MQTT_PROP_USER_PROPERTY, "id", text);
}

static int append(mosquitto_property **properties, const char *name, const char *value)
{
	if (value == NULL)
		return MOSQ_ERR_SUCCESS;
	return mosquitto_property_add_string_pair(properties, MQTT_PROP_USER_PROPERTY, name, value);
}

/* Where a client by WebSocket is as the agent wrote it; NULL for one that does not come from the agent. */
static const char *peer_of(const struct mosquitto *client)
{
	static char peer[PEER_SIZE + 1];
	const char *known = mosquitto_client_address(client);
	struct in_addr from;
	off_t slot;

	if (known == NULL)
		return NULL;
	if (inet_pton(AF_INET, strncmp(known, MAPPED, strlen(MAPPED)) == 0 ? known + strlen(MAPPED) : known, &from) != 1)
		return NULL;
	if (ntohl(from.s_addr) >> 16 != SOURCE)
		return NULL;
	slot = ntohl(from.s_addr) & 0xffff;
	if (pread(peers, peer, PEER_SIZE, slot * PEER_SIZE) != PEER_SIZE || peer[0] == 0)
		return NULL;
	peer[PEER_SIZE] = 0;
	return peer;
}

static bool comes_by_websocket(const struct mosquitto *client)
{
	return peers >= 0 && mosquitto_client_protocol(client) == mp_websockets;
}

/* Where a client is: what the agent wrote of a client by WebSocket, what Mosquitto knows of the others. */
static const char *address(const struct mosquitto *client)
{
	return comes_by_websocket(client) ? peer_of(client) : mosquitto_client_address(client);
}

/* The port that a client connected to, 0 where that is not certain. No function tells it, so that the socket is read from
 * where all of Mosquitto 2.0 has it, behind one int, and is believed where its other end is the client's own address. */
static int port(const struct mosquitto *client)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} here, there;
	socklen_t here_size = sizeof here, there_size = sizeof there;
	const char *known = mosquitto_client_address(client);
	char text[INET6_ADDRSTRLEN];
	int head[2];

	memcpy(head, (const void *)client, sizeof head);
	if (known == NULL || getsockname(head[1], &here.any, &here_size) != 0)
		return 0;
	if (getpeername(head[1], &there.any, &there_size) != 0)
		return 0;
	if (there.any.sa_family == AF_INET && here.any.sa_family == AF_INET) {
		if (inet_ntop(AF_INET, &there.v4.sin_addr, text, sizeof text) == NULL || strcmp(text, known) != 0)
			return 0;
		return ntohs(here.v4.sin_port);
	}
	if (there.any.sa_family == AF_INET6 && here.any.sa_family == AF_INET6) {
		if (inet_ntop(AF_INET6, &there.v6.sin6_addr, text, sizeof text) == NULL || strcmp(text, known) != 0)
			return 0;
		return ntohs(here.v6.sin6_port);
	}
	return 0;
}

/* Whether a name stands in a list whose parts are divided by commas. */
static bool is_listed(const char *list, const char *name)
{
	size_t size = strlen(name);

	for (const char *at = list; (at = strstr(at, name)) != NULL; at += size)
		if ((at == list || at[-1] == ',') && (at[size] == 0 || at[size] == ','))
			return true;
	return false;
}

static bool needs_user(const struct mosquitto *client)
{
	char name[16], list[128];
	FILE *file;
	size_t size;

	if (anonymous == NULL)
		return false;
	if ((file = fopen(anonymous, "re")) == NULL)
		return true;
	size = fread(list, 1, sizeof list - 1, file);
	fclose(file);
	list[size] = 0;
	if (mosquitto_client_protocol(client) == mp_websockets)
		return !is_listed(list, "websocket");
	snprintf(name, sizeof name, "%d", port(client));
	return !is_listed(list, name);
}

/* Whether this is the agent's user; whoever has the name gave the password as well, once logged in. */
static bool is_agent(const char *username)
{
	return agent != NULL && username != NULL && strcmp(username, agent) == 0;
}

/* Whether this client id, or group, is the agent's alone; one that is not told is treated as one that is. */
static bool is_reserved(const char *id)
{
	return reserved != NULL && (id == NULL || strncmp(id, reserved, strlen(reserved)) == 0);
}

/* The client id as subscribers may know it. */
static const char *shown_id(const struct mosquitto *client)
{
	const char *id = mosquitto_client_id(client);

	return is_agent(mosquitto_client_username(client)) && is_reserved(id) ? reserved : id;
}

static int on_message(int event, void *data, void *userdata)
{
	struct mosquitto_evt_message *message = data;
	int result;

	(void)event;
	(void)userdata;
	/* Without its origin a message would look like one of another client: better not to pass it on. */
	result = append_id(&message->properties);
	if (result == MOSQ_ERR_SUCCESS)
		result = append(&message->properties, "peerhost", address(message->client));
	if (result == MOSQ_ERR_SUCCESS)
		result = append(&message->properties, "clientid", shown_id(message->client));
	if (result == MOSQ_ERR_SUCCESS)
		result = append(&message->properties, "username", mosquitto_client_username(message->client));
	return result;
}

static int on_access(int event, void *data, void *userdata)
{
	struct mosquitto_evt_acl_check *asked = data;
	bool shares = asked->access == MOSQ_ACL_SUBSCRIBE && asked->topic != NULL &&
		      strncmp(asked->topic, SHARED, strlen(SHARED)) == 0;

	(void)event;
	(void)userdata;
	if (shares && is_reserved(asked->topic + strlen(SHARED)) && !is_agent(mosquitto_client_username(asked->client)))
		return MOSQ_ERR_ACL_DENIED;
	return MOSQ_ERR_PLUGIN_DEFER;
}

static int on_login(int event, void *data, void *userdata)
{
	struct mosquitto_evt_basic_auth *login = data;

	(void)event;
	(void)userdata;
	if (is_agent(login->username))
		return MOSQ_ERR_PLUGIN_DEFER; /* whether it is the agent is for others to say: they know the password */
	if (is_reserved(mosquitto_client_id(login->client)))
		return MOSQ_ERR_AUTH;
	if (comes_by_websocket(login->client) && peer_of(login->client) == NULL)
		return MOSQ_ERR_AUTH;
	if (!is_open && (gate == NULL || access(gate, F_OK) == 0))
		is_open = true;
	if (is_open)
		return login->username == NULL && needs_user(login->client) ? MOSQ_ERR_AUTH : MOSQ_ERR_PLUGIN_DEFER;
	return MOSQ_ERR_UNKNOWN; /* the connection ends without an answer, as if nobody listened yet */
}

int mosquitto_plugin_version(int offered, const int *versions)
{
	for (int i = 0; i < offered; i++)
		if (versions[i] == INTERFACE_VERSION)
			return INTERFACE_VERSION;
	return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *options, int option_count)
{
	struct timespec now;

	(void)userdata;
	for (int i = 0; i < option_count; i++) {
		if (strcmp(options[i].key, "gate") == 0)
			gate = options[i].value;
		else if (strcmp(options[i].key, "agent") == 0)
			agent = options[i].value;
		else if (strcmp(options[i].key, "reserved") == 0)
			reserved = options[i].value;
		else if (strcmp(options[i].key, "anonymous") == 0)
			anonymous = options[i].value;
		else if (strcmp(options[i].key, "peers") == 0)
			peers = atoi(options[i].value);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	life = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	self = id;
	if (mosquitto_callback_register(self, MOSQ_EVT_BASIC_AUTH, on_login, NULL, NULL) != MOSQ_ERR_SUCCESS)
		return MOSQ_ERR_UNKNOWN;
	if (mosquitto_callback_register(self, MOSQ_EVT_ACL_CHECK, on_access, NULL, NULL) != MOSQ_ERR_SUCCESS)
		return MOSQ_ERR_UNKNOWN;
	return mosquitto_callback_register(self, MOSQ_EVT_MESSAGE, on_message, NULL, NULL);
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
	(void)userdata;
	(void)options;
	(void)option_count;
	mosquitto_callback_unregister(self, MOSQ_EVT_BASIC_AUTH, on_login, NULL);
	mosquitto_callback_unregister(self, MOSQ_EVT_ACL_CHECK, on_access, NULL);
	return mosquitto_callback_unregister(self, MOSQ_EVT_MESSAGE, on_message, NULL);
}
