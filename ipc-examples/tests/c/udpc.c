/* Sends 255 bytes (text, NUL, and rubbish) to UDP port 2000 of this machine, and shows the reply. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(void)
{
    char message[255], reply[256];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(2000) };
    address.sin_addr.s_addr = inet_addr("127.0.0.1");
    fputs("Enter the message to send to the server: ", stdout);
    fflush(stdout);
    memset(message, '#', sizeof message);
    if (!fgets(message, sizeof message, stdin))
        return 1;
    message[strcspn(message, "\n")] = '\0';
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(udp, (struct sockaddr *)&address, sizeof address) < 0)
        return 1;
    if (send(udp, message, sizeof message, 0) < 0)
        return 1;
    puts("Message to the server sent. ");
    ssize_t got = recv(udp, reply, sizeof reply - 1, 0);
    if (got < 0)
        return 1;
    reply[got] = '\0';
    printf("Received from the server: %s\n", reply);
    return 0;
}
