/* Receives a message of type 1 from the queue of messagefile and 'a', and prints it as a C string out of
 * a buffer that was not cleared. */
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>

int main(void)
{
    struct { long type; char text[255]; } message;
    memset(message.text, '#', sizeof message.text - 1);
    message.text[sizeof message.text - 1] = '\0';
    int queue = msgget(ftok("messagefile", 'a'), 0666);
    if (queue < 0) {
        perror("msgget");
        return 1;
    }
    if (msgrcv(queue, &message, sizeof message.text, 1, 0) < 0) {
        perror("msgrcv");
        return 1;
    }
    printf("The message received is %s\n", message.text);
    msgctl(queue, IPC_RMID, NULL);
    return 0;
}
