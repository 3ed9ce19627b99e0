/* Every kind of range and mark that NVTX's own header has, one inside another. */

#include <nvtx3/nvToolsExt.h>

int cuInit(unsigned flags);

int main(void)
{
    cuInit(0);
    nvtxDomainHandle_t domain = nvtxDomainCreateA("a domain");
    nvtxEventAttributes_t event = {0};
    event.version = NVTX_VERSION;
    event.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    event.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
    event.message.registered = nvtxDomainRegisterStringA(domain, "registered");

    nvtxRangePushA("outer");
    nvtxDomainRangePushEx(domain, &event);
    nvtxRangePushW(L"wide");
    nvtxRangePop();
    nvtxRangePop();
    nvtxDomainRangePop(domain);

    nvtxRangeId_t first = nvtxRangeStartA("first"), second = nvtxDomainRangeStartEx(domain, &event);
    nvtxRangeEnd(first);
    nvtxDomainRangeEnd(domain, second);
    nvtxMarkA("a mark");
    nvtxDomainMarkEx(domain, &event);
    return 0;
}
